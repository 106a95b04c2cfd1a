"""The header Idempotency-Key: its description, and its value."""

from aiohttp import web

from api.errors import Refusal
from api.route import Parameter
from schemas.refusals import ErrorCode

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "A request repeated with the same key and body is carried out once; the repetition is answered with `Idempotent-Replayed: true`",
    place="header",
)


def idempotency_key(request: web.Request) -> str | None:
    """The key of the request, None without one; refuses a malformed or repeated one with INVALID_REQUEST."""
    keys = request.headers.getall(IDEMPOTENCY_KEY.name, ())
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= 255 or not all("!" <= letter <= "~" for letter in keys[0]):
        raise _refused("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return keys[0]


def required_key(request: web.Request) -> str:
    """The key of a request that must have one."""
    key = idempotency_key(request)
    if key is None:
        raise _refused("this request needs an Idempotency-Key")
    return key


def _refused(message: str) -> Refusal:
    return Refusal(ErrorCode.INVALID_REQUEST, message, {"field": IDEMPOTENCY_KEY.name})
