"""Refusals and failures."""

from typing import Any

import msgspec

from schemas.rest.bodies import View


class ErrorBody(View, frozen=True):
    """What went wrong: a stable code, a sentence, facts, and the request it belongs to."""

    code: str
    message: str
    request_id: str
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorView(View, frozen=True):
    """The body of every refusal and failure."""

    error: ErrorBody
