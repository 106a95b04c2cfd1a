"""A subscription of a connection to a private channel."""

import asyncio
from typing import Protocol

from api.live.outgoing import Key, Outgoing
from schemas.live.account_messages import AccountChannel
from schemas.live.subscriptions import Resume

HELD_BYTES_MAX = 4 * 1024 * 1024


class Subscriber:
    """Gets frames in order; while it is given what was before, what happens meanwhile is held back."""

    def __init__(self, channel: AccountChannel, line: Outgoing) -> None:
        self.channel, self.key = channel, (str(channel),)
        self.line = line
        self._has_begun = False
        self.replaying: asyncio.Task[None] | None = None
        self._held: list[tuple[bytes, str]] | None = None
        self._held_bytes = 0
        self._markets: set[Key] = set()

    def hold(self) -> None:
        """Hold back from now on."""
        self._held = []

    def release(self) -> None:
        """Send what was held back, and hold back no longer."""
        held, self._held = self._held or [], None
        for frame, cursor in held:
            self.append(frame, cursor)

    def begin(self, frame: bytes, cursor: str) -> None:
        """Send the first message; the subscription resumes from its beginning until more was sent."""
        self._has_begun = True
        self.line.resume_at(self.key, self._resume(cursor))
        self.line.append(frame)

    def append(self, frame: bytes, cursor: str) -> None:
        """Send a frame that is never dropped."""
        self.line.append(frame, self.key, self._resume(cursor))

    def send(self, frame: bytes, cursor: str) -> None:
        """Send what happens, or hold it back."""
        if self._held is None:
            self.append(frame, cursor)
            return
        self._held.append((frame, cursor))
        self._held_bytes += len(frame)
        if self._held_bytes > HELD_BYTES_MAX:
            self.line.overflow()

    def replace(self, name: str, frame: bytes) -> None:
        """Send the newest of a market, or of the account, once the subscription has begun."""
        if not self._has_begun:
            return
        key = (*self.key, name)
        self._markets.add(key)
        self.line.replace(key, frame)

    def end(self) -> None:
        """Send nothing more."""
        if self.replaying is not None:
            self.replaying.cancel()
        self.line.forget(self.key, *self._markets)

    def _resume(self, cursor: str) -> Resume:
        return Resume(self.channel, cursor)


class Subscription(Protocol):
    """What a connection keeps of a subscription, public or private."""

    @property
    def key(self) -> Key:
        """Its name among those of the connection."""

    def cancel(self) -> None:
        """End it."""
