"""What can go wrong, as a tree.

PerpetuaError
├── Refusal            the exchange has answered: nothing was changed
│   └── RateLimited    … because of the rate limit; `retry_after_s` says when to come again
├── Unavailable        it could not be reached, or had no answer, for as long as the client is patient; it is a read, or was not sent
├── OutcomeUnknown     it has perhaps done it: `order_by_client_id` tells, once it can be reached
└── SequenceGap        a message that should have come did not; the socket begins again by itself
"""

from typing import Any

import msgspec


class PerpetuaError(Exception):
    """Any fault of a call."""


class Refusal(PerpetuaError):
    """The exchange has refused: `code` never changes its meaning, `message` is for people."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any], request_id: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id


class RateLimited(Refusal):
    """The budget is used up; the call was not carried out. It can succeed after `retry_after_s`."""

    retry_after_s: float = 1.0


class Unavailable(PerpetuaError):
    """No answer for as long as the client waits; what was asked has no effect."""


class OutcomeUnknown(PerpetuaError):
    """No answer that says whether it was done. Ask for `reference`: the clientOrderId, the order's id or the Idempotency-Key."""

    def __init__(self, reference: str, why: str) -> None:
        super().__init__(f"{reference}: {why}")
        self.reference = reference


class SequenceGap(PerpetuaError):
    """A sequence or a checksum does not follow from what the client has."""


class _Error(msgspec.Struct, rename="camel"):
    code: str = "INTERNAL_ERROR"
    message: str = ""
    details: dict[str, Any] = {}
    request_id: str = ""


class _Body(msgspec.Struct):
    error: _Error


def refusal_of(status: int, body: bytes, retry_after: str | None = None) -> Refusal:
    """The refusal that a body describes; one that a proxy wrote has its text as the message."""
    try:
        said = msgspec.json.decode(body, type=_Body).error
    except msgspec.DecodeError:
        said = _Error(message=body[:200].decode(errors="replace"))
    kind = RateLimited if status == 429 else Refusal  # Too Many Requests
    refusal = kind(status, said.code, said.message, said.details, said.request_id)
    if isinstance(refusal, RateLimited):
        refusal.retry_after_s = float(retry_after or said.details.get("retryAfterSeconds", 1))
    return refusal
