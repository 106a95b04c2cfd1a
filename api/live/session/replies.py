"""What an operation gives back: an answer now, or a submission that is answered when its batch is stored."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from api.errors import answer_of_bug, refused_answer
from api.submission.submitting import Ack
from schemas.live.answers import Result
from schemas.live.requests import RequestId
from schemas.refusals import Refused

_encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """Status and body as REST gives them, and the command that was stored, if any."""

    status: int
    body: bytes
    command_id: str | None = None


class Submitted(NamedTuple):
    """A request that waits for its batch, and how its outcome is acknowledged."""

    outcome: "asyncio.Future[Any]"
    ack_of: Callable[[Any], Ack]


class Asked(NamedTuple):
    """A request that is being handled: its own id, its operation, the id that it is logged under, its user, and when it began."""

    id: RequestId | None
    op: str
    request_id: str
    user: int | None
    began_s: float


def ok(body: Any) -> Reply:
    """200 with this body."""
    return Reply(HTTPStatus.OK.value, _encode(body))


def reply_of(answer: web.Response) -> Reply:
    """An answer of REST as a reply."""
    assert isinstance(answer.body, bytes)  # noqa: S101 - ours always are
    return Reply(answer.status, answer.body)


def reply_to(asked: Asked, submitted: Submitted) -> Reply:
    """The reply to a submission that is done."""
    bug = submitted.outcome.exception()
    if bug is not None:
        return reply_of(answer_of_bug(asked.request_id, asked.op, bug))
    outcome = submitted.outcome.result()
    if isinstance(outcome, Refused):
        return reply_of(refused_answer(asked.request_id, outcome))
    status, body, headers = submitted.ack_of(outcome)
    return Reply(status.value, _encode(body), headers.get("X-Command-Id"))


def result_frame(asked: Asked, reply: Reply) -> bytes:
    """The result of a request as it is sent."""
    return _encode(Result(reply.status, msgspec.Raw(reply.body), asked.id, reply.command_id))
