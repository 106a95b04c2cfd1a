"""Why a request is refused: one enum of stable codes, one table from code to HTTP status, and what each code means (docs/errors.md).

The message of a single refusal is written where it is refused, with the numbers that explain it.
"""

from enum import StrEnum

import msgspec


class ErrorCode(StrEnum):
    """Codes of the REST contract. They never change their meaning or their status."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_ORDER = "INVALID_ORDER"
    MARKET_NOT_FOUND = "MARKET_NOT_FOUND"
    MARKET_NOT_ACTIVE = "MARKET_NOT_ACTIVE"
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    API_KEY_LIMIT_REACHED = "API_KEY_LIMIT_REACHED"
    TOTP_ENABLED = "TOTP_ENABLED"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    ORDER_NOT_OPEN = "ORDER_NOT_OPEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    NOT_YET = "NOT_YET"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    UNAVAILABLE = "UNAVAILABLE"
    DRAIN_TIMED_OUT = "DRAIN_TIMED_OUT"
    INTERNAL_ERROR = "INTERNAL_ERROR"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.INVALID_ORDER: 400,
    ErrorCode.MARKET_NOT_FOUND: 404,
    ErrorCode.MARKET_NOT_ACTIVE: 409,
    ErrorCode.INSUFFICIENT_MARGIN: 422,
    ErrorCode.INSUFFICIENT_BALANCE: 422,
    ErrorCode.DUPLICATE_CLIENT_ORDER_ID: 409,
    ErrorCode.IDEMPOTENCY_CONFLICT: 409,
    ErrorCode.EMAIL_TAKEN: 409,
    ErrorCode.API_KEY_LIMIT_REACHED: 409,
    ErrorCode.TOTP_ENABLED: 409,
    ErrorCode.ORDER_NOT_FOUND: 404,
    ErrorCode.ORDER_NOT_OPEN: 409,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.NOT_YET: 412,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.DRAIN_TIMED_OUT: 504,
    ErrorCode.INTERNAL_ERROR: 500,
}

MEANING: dict[ErrorCode, str] = {
    ErrorCode.UNAUTHENTICATED: "The token or key is missing, wrong, expired, ended, revoked or used from an address that it does not allow; at login, the e-mail or password is wrong. Where more than a token is needed, `details.reason` says what: TOTP_REQUIRED (a `code`), TOTP_INVALID (another `code`: this one is wrong, or was used), WRONG_PASSWORD",
    ErrorCode.FORBIDDEN: "The caller is authenticated but not allowed: not an administrator, or a key without the scope",
    ErrorCode.INVALID_REQUEST: "The body, a parameter or a header is invalid",
    ErrorCode.INVALID_ORDER: "The order has invalid syntax or violates a filter of its market: tick, lot, size, price band, number of open orders, position, open interest, a condition that already holds",
    ErrorCode.MARKET_NOT_FOUND: "The market does not exist",
    ErrorCode.MARKET_NOT_ACTIVE: "The market's status does not accept this order: INITIALIZING accepts only post-only orders, SETTLEMENT_ONLY only reduce-only ones, CANCEL_ONLY, HALTED and SETTLED none. `details.reason` RULES: the market's rules are older than this kind of order or request (`market rules M N`). Or it says why the account may only reduce: MARK_FROZEN, LIQUIDATION, POSITIONS_CLOSING, ACCOUNT_FROZEN",
    ErrorCode.INSUFFICIENT_MARGIN: "The account's equity does not cover the order or the leverage, or the account may only reduce; `details.required` is the whole requirement with the change, `details.available` the whole equity. A market order is judged at its protection price (`details.protectionPrice`): a smaller `maxSlippage` needs less. The orders of `details.pendingCancels` cancels under way keep their margin until they are done",
    ErrorCode.INSUFFICIENT_BALANCE: "The amount is larger than what margin leaves free; `details.reason` says what blocks every withdrawal: MARK_FROZEN, LIQUIDATION, POSITIONS_CLOSING, ACCOUNT_FROZEN",
    ErrorCode.DUPLICATE_CLIENT_ORDER_ID: "The `clientOrderId` was already used for an order with a different body",
    ErrorCode.IDEMPOTENCY_CONFLICT: "The `Idempotency-Key` was already used for a request with a different body",
    ErrorCode.EMAIL_TAKEN: "The e-mail is already registered",
    ErrorCode.API_KEY_LIMIT_REACHED: "The user has the maximum number of active keys: revoke one",
    ErrorCode.TOTP_ENABLED: "TOTP is enabled already: remove it with a code before you enrol again",
    ErrorCode.ORDER_NOT_FOUND: "The caller has no order with this id",
    ErrorCode.ORDER_NOT_OPEN: "The order has ended (`details.reason` ENDED), or is already being cancelled (CANCEL_PENDING) or amended (AMEND_PENDING), with the `commandId` of that, or is to be amended after its trigger and before it is in the book (TRIGGERED); `details.status` and `details.filledQuantity` are those of the order",
    ErrorCode.NOT_FOUND: "The path does not exist, or the caller has no API key or session with this id, or no TOTP, or there is no user with this id",
    ErrorCode.METHOD_NOT_ALLOWED: "The path does not support this method",
    ErrorCode.PAYLOAD_TOO_LARGE: "The body is larger than 64 KiB",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "The body is not `application/json`, or has a content encoding",
    ErrorCode.NOT_YET: "The command of `X-Wait-For-Command` was not persisted within two seconds: try again",
    ErrorCode.RATE_LIMITED: "Too many requests",
    ErrorCode.OVERLOADED: "The market has too many commands waiting, or its oldest waiting command or its mark is older than 10 s: cancels and reducing orders are still accepted. Or too many requests wait in this API process, or too many logins, registrations or previews. Nothing was stored",
    ErrorCode.UNAVAILABLE: "A part of the exchange is down and the outcome may be unknown: query it, or repeat the request with the same id or key",
    ErrorCode.DRAIN_TIMED_OUT: "Not everything was matched and persisted in time; `details` lists the markets that lag",
    ErrorCode.INTERNAL_ERROR: "A bug in the exchange, logged under the `requestId`",
}
"""The meaning of each code, printed in docs/errors.md."""


class Refused(msgspec.Struct, frozen=True):
    """A refused request: a stable code, a message for people, and details for programs. Returned, not raised."""

    code: ErrorCode
    message: str
    details: dict[str, str | int | bool | list[str] | None] | None = None
