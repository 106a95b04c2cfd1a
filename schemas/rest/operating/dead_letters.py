"""Dead letters, and what became of those that were retried."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.rest.bodies import Request, View
from schemas.rest.operating.acts import Reason


class Retried(StrEnum):
    """The result of a retry."""

    SENT_AGAIN = "SENT_AGAIN"
    ANSWERED = "ANSWERED"
    UNREADABLE = "UNREADABLE"
    NOT_OURS = "NOT_OURS"

    @property
    def is_settled(self) -> bool:
        """Whether the letter needs no further action."""
        return self in {Retried.SENT_AGAIN, Retried.ANSWERED}


class RetryOutcome(msgspec.Struct, frozen=True):
    """The result for one letter, and the reason."""

    id: str
    result: Retried
    why: str


class DeadLetterView(View, frozen=True):
    """A record that a worker could not read or apply: why, where it was, and the beginning of its bytes as text.

    `sequence` is that of a command that broke the engine and was undone; `topic` and `offset` are those of any other record.
    """

    id: str
    market_id: str
    reason: str
    detail: str
    sequence: int | None
    topic: str | None
    offset: int | None
    size_bytes: int
    text: str


class RetryRequest(Request, frozen=True):
    """The dead letters to retry, by id."""

    ids: Annotated[list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(min_length=1, max_length=100)]
    reason: Reason
