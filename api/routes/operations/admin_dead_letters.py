"""Administrator routes about dead letters: what workers could not read or apply, and a retry."""

import asyncio

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paging import PAGING, page_answer, page_request
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import DeadLetters, Services, services_of
from broker.dead_letters import DeadLetter, StoredLetter
from schemas.refusals import ErrorCode, Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.dead_letters import DeadLetterView, RetryOutcome, RetryRequest
from store.operators.acts import Operator
from store.queries.paging import Int8, ListRequest, decode_cursor, page_of

READ_WITHIN_S = 5.0
TEXT_CHARACTERS = 200
_retry = BodyReader(RetryRequest)


async def dead_letters(request: web.Request, _admin: int) -> web.Response:
    """The newest dead letters, newest first."""
    asked = page_request(request, PAGING)
    return page_answer(_page(await _read(services_of(request)), asked))


async def retry(request: web.Request, admin: int) -> web.Response:
    """Have the relay send again what can be read now and is still missing."""
    services, asked = services_of(request), await _retry.read(request)
    known = {stored.letter.id: stored.letter for stored in await _read(services)}
    if unknown := sorted(set(asked.ids) - known.keys()):
        raise Refusal(ErrorCode.NOT_FOUND, "there is no such dead letter", {"ids": unknown})
    retrying, operator = _letters(services).retry, Operator(admin, None)

    async def retried(letter: DeadLetter) -> RetryOutcome:
        return await services.database.run(
            lambda session: retrying(session, operator, letter, asked.reason, services.now())
        )

    return json_answer([await retried(known[letter_id]) for letter_id in dict.fromkeys(asked.ids)])


def _page(letters: list[StoredLetter], asked: ListRequest) -> Page[DeadLetterView] | Refused:
    """A page from the newest on; a letter's place in the topic is what the cursor names."""
    after = decode_cursor(asked.cursor, Int8)
    if isinstance(after, Refused):
        return after
    wanted = [stored for stored in letters if after is None or stored.place < after]
    newest = wanted[::-1][: asked.limit + 1]
    return page_of(newest, asked.limit, lambda stored: stored.place, lambda stored: _view(stored.letter))


def _view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        market_id=letter.market,
        reason=letter.reason,
        detail=letter.detail,
        sequence=letter.seq,
        topic=letter.topic,
        offset=letter.offset,
        size_bytes=letter.size_bytes,
        text=letter.value.decode(errors="backslashreplace")[:TEXT_CHARACTERS],
    )


async def _read(services: Services) -> list[StoredLetter]:
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return await _letters(services).read()
    except (OSError, TimeoutError) as error:
        raise _no_broker() from error


def _letters(services: Services) -> DeadLetters:
    if services.dead_letters is None:
        raise _no_broker()
    return services.dead_letters


def _no_broker() -> Refusal:
    return Refusal(ErrorCode.UNAVAILABLE, "the broker cannot be reached; nothing was done")


ROUTES = (
    Route(
        "GET",
        "/admin/dead-letters",
        dead_letters,
        "listDeadLetters",
        "List dead letters, newest first",
        {
            200: Answer(
                Page[DeadLetterView],
                "Records that took no sequence, and commands that broke the engine and were undone: the newest 1,000, fewer where they are large; `dlq list` has all.",
            )
        },
        access=Access.ADMIN,
        parameters=PAGING,
        tag="admin",
    ),
    Route(
        "POST",
        "/admin/dead-letters/retry",
        retry,
        "retryDeadLetters",
        "Retry dead letters",
        {200: Answer(list[RetryOutcome], "The outcome of each; it is safe to repeat.")},
        access=Access.ADMIN,
        body=RetryRequest,
        errors=(ErrorCode.NOT_FOUND,),
        tag="admin",
    ),
)
