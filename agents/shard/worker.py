"""What a shard asks of the work on one market."""

from typing import Any, NamedTuple, Protocol


class Feed(NamedTuple):
    """The log that a worker reads, and the name of the agent that it feeds."""

    topic: str
    agent: str


class MarketWorker(Protocol):
    """The work on one market from the moment its process becomes the owner until it no longer is; then another one is made."""

    @property
    def name(self) -> str:
        """Its name in the log."""

    @property
    def feed(self) -> Feed:
        """The log it reads."""

    async def begin(self) -> int | None:
        """Find out where to continue; the offset to read from, None for a market that rests. An outage may be raised."""

    async def take(self, event: Any) -> None:
        """One record of the log, in order; acknowledged when it need not be read again."""

    async def work(self) -> None:
        """What is to be done apart from taking records, until cancelled."""

    def release(self) -> None:
        """Drop the work in progress at once: another process is the owner."""

    async def finish(self) -> None:
        """Finish the current record, and leave what the next owner can continue from."""

    async def disconnect(self) -> None:
        """Close what is open."""

    def advance(self) -> object:
        """A value that changes with each step of progress."""

    async def has_work(self) -> bool:
        """Whether work is pending; asks both the broker and the database, and raises the error of an outage."""
