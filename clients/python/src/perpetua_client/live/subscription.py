"""Subscriptions: what to ask for after a reconnect, and whether a message follows the one before."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Generic, NamedTuple, TypeVar

from perpetua_client.errors import PerpetuaError, SequenceGap
from perpetua_client.live.book import Book
from perpetua_client.messages import (
    AccountSubscribedMessage,
    BookSnapshotMessage,
    BookUpdateMessage,
    SubscribedMessage,
)

T = TypeVar("T")
WAITING_MAX = 10_000
"""How many messages may wait for the program; then the connection is not read, and the exchange sends them later."""
PRIVATE = frozenset({"orders", "fills", "positions", "balances"})


class Key(NamedTuple):
    """Names a subscription as the messages do."""

    channel: str
    market: str | None = None
    depth: int | None = None
    interval: str | None = None


class Subscription(Generic[T]):
    """The messages of one channel, in order and without a gap, over as many connections as it takes: `async for`."""

    def __init__(self, key: Key, from_: int | str | None = None) -> None:
        self.key = key
        self.from_ = from_
        """From where the next subscription goes on."""
        self.connection = 0
        """The number of the connection that it was last asked for on."""
        self._waiting: asyncio.Queue[T | PerpetuaError] = asyncio.Queue(WAITING_MAX)

    @property
    def request(self) -> dict[str, Any]:
        """The fields of `subscribe`."""
        named = {**self.key._asdict(), "from": self.from_}
        return {name: value for name, value in named.items() if value is not None}

    async def receive(self, message: Any) -> None:
        """Check a message and keep it for the program. Raises SequenceGap."""
        shown = self.checked(message)
        if shown is not None:
            await self._waiting.put(shown)

    def fail(self, error: PerpetuaError) -> None:
        """Nothing more will come: the program gets the error after what waits."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(error)

    def checked(self, message: Any) -> T | None:
        """What the program gets of a message. Raises SequenceGap."""
        return None if isinstance(message, SubscribedMessage) else message

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            yield await self.next()

    async def next(self) -> T:
        """The next message."""
        found = await self._waiting.get()
        if isinstance(found, PerpetuaError):
            raise found
        return found


class Counted(Subscription[T]):
    """A public channel that can be resumed by `sequence`; in `trades` each sequence follows the one before."""

    def checked(self, message: Any) -> T | None:
        """The message, if it is the next one."""
        if isinstance(message, SubscribedMessage):
            if self.from_ is None:
                self.from_ = (message.sequence or 0) + 1
            return None
        sequence, expected = message.sequence, int(self.from_ or 0)
        if sequence < expected or (self.key.channel == "trades" and sequence > expected):
            raise SequenceGap(f"{self.key.channel} of {self.key.market}: {sequence} came, {expected} was next")
        self.from_ = sequence + 1
        return message  # type: ignore[no-any-return]


class Private(Subscription[T]):
    """A channel of the account: the cursor of each message is where it goes on."""

    def checked(self, message: Any) -> T | None:
        """The message."""
        self.from_ = message.cursor
        return None if isinstance(message, AccountSubscribedMessage) else message


class BookSubscription(Subscription[Book]):
    """The book of a market, after each change."""

    def __init__(self, key: Key) -> None:
        super().__init__(key)
        self.book = Book()

    def checked(self, message: Any) -> Book | None:
        """The book with the change in it."""
        match message:
            case BookSnapshotMessage():
                self.book.replace(message)
            case BookUpdateMessage():
                self.book.apply(message)
            case _:
                return None
        return self.book
