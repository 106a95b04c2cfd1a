"""The subscribers of a feed, and what it needs of their connections."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from api.live.outgoing import Key


class Line(Protocol):
    """What waits for one connection (api/live/outgoing.py)."""

    bytes_waiting: int
    is_closed: bool

    def append(self, frame: bytes, subscription: Key | None = None, resume: Any = None) -> None:
        """Send a frame that is never dropped; after it, the subscription resumes there."""

    def replace(self, key: Key, frame: bytes) -> None:
        """Send a frame; it takes the place of one with the same key that still waits."""

    def update_book(self, key: Key, frame: bytes, resync: Callable[[], bytes]) -> None:
        """Send an update in order; where too many wait, what `resync` encodes takes their place."""

    def resume_at(self, subscription: Key, resume: Any) -> None:
        """Where a subscription begins."""

    def forget(self, *keys: Key) -> None:
        """What waits of these subscriptions is not sent."""


Subscribers: TypeAlias = dict[tuple[Line, Key], None]
"""In the order in which they came."""
