"""Turns every refusal and failure into one body: `{"error": {code, message, details?, requestId}}`.

Refusal(Exception)       a route refuses: carries a schemas.refusals.Refused
store StoreUnavailable   the database is down: 503 UNAVAILABLE
aiohttp HTTPException    unknown route, method or media type: mapped by status
anything else            a bug: 500 INTERNAL_ERROR, logged with its request id
"""

import logging
from collections.abc import Awaitable, Mapping
from itertools import count
from os import urandom
from time import perf_counter
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from api.access_log import ACCESS
from api.documents.error_page import as_page, wants_page
from api.metrics import RESPONSES, route_of
from api.watch.outage_log import note_outage
from schemas.refusals import HTTP_STATUS, ErrorCode, Refused
from schemas.rest.errors import ErrorBody, ErrorView
from store.session.connect import StoreUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_AFTER_S = 1
_REQUEST_ID = web.RequestKey("request_id", str)
_BOOT = urandom(6).hex()
_numbers = count(1)
_encode = msgspec.json.Encoder().encode
RETRIABLE = frozenset(
    {
        ErrorCode.OVERLOADED,
        ErrorCode.UNAVAILABLE,
        ErrorCode.RATE_LIMITED,
        ErrorCode.NOT_YET,
        ErrorCode.DRAIN_TIMED_OUT,
    }
)
"""Answered with `Retry-After`: the same request may succeed later."""
_CODE_OF_STATUS = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}
_MESSAGES = {
    ErrorCode.NOT_FOUND: "there is nothing at this path",
    ErrorCode.METHOD_NOT_ALLOWED: "this path does not support this method",
    ErrorCode.PAYLOAD_TOO_LARGE: "the body is larger than 64 KiB",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "the body must be application/json, not encoded",
    ErrorCode.INVALID_REQUEST: "the request is malformed",
    ErrorCode.INTERNAL_ERROR: "internal error; it is logged under this request id",
}
_OUTCOME_UNKNOWN = "the outcome is unknown: query before you retry"
_NOTHING_STORED = "the exchange cannot reach its database; nothing was stored"


class Refusal(Exception):
    """A route refuses the request; `details` are for programs, of any JSON shape."""

    def __init__(self, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = RETRY_AFTER_S
        """Used for the codes that may be retried."""


def refusal_of(refused: Refused) -> Refusal:
    """The refusal that the store or the exchange returned, as an exception."""
    refusal = Refusal(refused.code, refused.message, refused.details)
    wait_s = (refused.details or {}).get("retryAfterSeconds")
    if isinstance(wait_s, int):
        refusal.retry_after_s = wait_s
    return refusal


def unavailable(*, outcome_is_unknown: bool) -> Refused:
    """503 UNAVAILABLE; the message says whether the request may have been stored after all."""
    return Refused(ErrorCode.UNAVAILABLE, _OUTCOME_UNKNOWN if outcome_is_unknown else _NOTHING_STORED)


def new_request_id() -> str:
    """An opaque id, unique across processes and restarts."""
    return f"req-{_BOOT}-{next(_numbers):x}"


def request_id_of(request: web.BaseRequest) -> str:
    """The id of this request, generated at the first call."""
    known = request.get(_REQUEST_ID)
    if known is None:
        known = request[_REQUEST_ID] = new_request_id()
    return known


def error_answer(
    request_id: str,
    code: ErrorCode,
    message: str,
    details: Mapping[str, Any] | None = None,
    retry_after_s: int = RETRY_AFTER_S,
) -> web.Response:
    """The one body of every refusal and failure, with the status and the headers of its code."""
    facts = dict(details) if details else msgspec.UNSET
    body = _encode(ErrorView(error=ErrorBody(code=code, message=message, request_id=request_id, details=facts)))
    answer = web.Response(status=HTTP_STATUS[code], body=body, content_type="application/json")
    if code in RETRIABLE:
        answer.headers["Retry-After"] = str(retry_after_s)
    if code is ErrorCode.UNAUTHENTICATED:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def refused_answer(request_id: str, refused: Refused) -> web.Response:
    """The answer to a request that the store or the exchange refused."""
    _log_if_ours(request_id, refused.code)
    return error_answer(request_id, refused.code, refused.message, refused.details)


def answer_of_status(request_id: str, status: int) -> web.Response:
    """The error body for a status that aiohttp chose."""
    fallback = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    code = _CODE_OF_STATUS.get(status, fallback)
    return error_answer(request_id, code, _MESSAGES[code])


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn anything a route raises into the contract's error body, count and log the answer; the only place that does, except for the fast path."""
    began_s, request_id = perf_counter(), request_id_of(request)
    answer = await answered(request_id, f"{request.method} {request.path}", handler(request))
    if answer.status >= 400 and isinstance(answer, web.Response) and wants_page(request):
        answer = as_page(answer)
    _note(request, answer.status, perf_counter() - began_s)
    return answer


async def answered(request_id: str, route: str, work: Awaitable[T]) -> T | web.Response:
    """The answer of the work, or the contract's error body for what it raises. `route` is for the log."""
    try:
        return await work
    except Refusal as refusal:
        return _answer_of_refusal(request_id, refusal)
    except StoreUnavailable as outage:
        note_outage(outage)
        refused = unavailable(outcome_is_unknown=outage.outcome_is_unknown)
        return error_answer(request_id, refused.code, refused.message)
    except web.HTTPException as problem:
        return _answer_of_exception(request_id, problem)
    except (web.RequestPayloadError, HttpProcessingError):
        return _closing(answer_of_status(request_id, 400))
    except ConnectionError:
        raise  # the client has disconnected: aiohttp closes the connection
    except Exception as bug:  # noqa: BLE001 - allowed here (CONTRIBUTING.md, "Code"), and logged
        return answer_of_bug(request_id, route, bug)


def answer_of_bug(request_id: str, route: str, bug: BaseException) -> web.Response:
    """500, and the bug in the log under the id of the request."""
    known = {"request": request_id, "route": route}
    log.error("request %(request)s failed: %(route)s", known, exc_info=bug, extra=known)
    return answer_of_status(request_id, 500)


def _note(request: web.Request, status: int, seconds: float) -> None:
    """Count the answer and log it."""
    route = route_of(request)
    RESPONSES.count(route, status, seconds)
    request.app[ACCESS].add_request(request, request_id_of(request), route, status, seconds * 1_000)


def _answer_of_refusal(request_id: str, refusal: Refusal) -> web.Response:
    _log_if_ours(request_id, refusal.code)
    return error_answer(request_id, refusal.code, refusal.message, refusal.details, refusal.retry_after_s)


def _log_if_ours(request_id: str, code: ErrorCode) -> None:
    """A request that the database rejected is a bug too: the store logged the cause, this line names the request."""
    if code is ErrorCode.INTERNAL_ERROR:
        log.error("request %s failed: the database rejected it", request_id, extra={"request": request_id})


def _answer_of_exception(request_id: str, problem: web.HTTPException) -> web.Response:
    answer = answer_of_status(request_id, problem.status)
    if "Allow" in problem.headers:
        answer.headers["Allow"] = problem.headers["Allow"]
    return answer


def _closing(answer: web.Response) -> web.Response:
    answer.force_close()
    return answer
