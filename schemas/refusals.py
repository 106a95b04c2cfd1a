"""Why a request is refused: one enum of stable codes and one table from code to HTTP status (api.md)."""

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


class Refused(msgspec.Struct, frozen=True):
    """A request was refused: a stable code, a sentence for people, and facts for programs. Returned, not raised."""

    code: ErrorCode
    message: str
    details: dict[str, str | int | bool | list[str] | None] | None = None
