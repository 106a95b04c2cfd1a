"""A subscription of a connection to a private channel."""

import asyncio
from functools import partial
from typing import NamedTuple

from api.live.accounts.cursor import Place, Places, cursor_of
from api.live.outgoing import Key, Outgoing
from schemas.live.account_messages import AccountChannel
from schemas.live.subscriptions import Resume

HELD_BYTES_MAX = 4 * 1024 * 1024
_NO_CURSOR = b'"cursor":""'


class Unmarked(NamedTuple):
    """A frame whose cursor is empty until it is sent; once it is, these places are reached."""

    frame: bytes
    places: Places


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
        self._reached: dict[int, Place] = {}

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

    def begin_after(self, frame: bytes, since: Places) -> None:
        """Send the first message of a subscription whose cursors are those of what was sent, market by market."""
        self._reached = dict(since)
        self.begin(frame, cursor_of(since))

    def replace_unmarked(self, name: str, unmarked: Unmarked) -> None:
        """As `replace`; its cursor names what was sent up to it, so a cut loses nothing."""
        if not self._has_begun:
            return
        key = (*self.key, name)
        self._markets.add(key)
        self.line.replace(key, unmarked.frame, partial(self._mark, unmarked.places))

    def _mark(self, places: Places, frame: bytes) -> bytes:
        self._reached |= places
        cursor = cursor_of(self._reached)
        self.line.resume_at(self.key, self._resume(cursor))
        return frame.replace(_NO_CURSOR, b'"cursor":"%b"' % cursor.encode(), 1)

    def end(self) -> None:
        """Send nothing more of the account; its subscription forgets the rest."""
        if self.replaying is not None:
            self.replaying.cancel()
        self.line.forget(*self._markets)

    def _resume(self, cursor: str) -> Resume:
        return Resume(self.channel, cursor)
