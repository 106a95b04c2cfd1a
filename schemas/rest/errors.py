"""Refusals and failures."""

from typing import Any

import msgspec

from schemas.refusals import ErrorCode
from schemas.rest.bodies import View


class ErrorBody(View, frozen=True):
    """An error: a stable code, a message for people, the id of the request, and details for programs."""

    code: ErrorCode
    message: str
    request_id: str
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorView(View, frozen=True):
    """The body of every refusal and failure."""

    error: ErrorBody
