import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from agents.shard.market_work import MarketWork
from agents.shard.worker import Feed, MarketWorker
from agents.worker.settings import StreamSettings
from store.session.presence import Task, Work


class Worker:
    """A worker whose last record waits for the broker, and that notes what becomes of it."""

    name = "engine-BTC-PERP"
    feed = Feed("engine.commands.BTC-PERP", "match-BTC-PERP")

    def __init__(self) -> None:
        self.course: list[str] = []
        self.finishes = asyncio.Event()

    async def begin(self) -> int | None:
        """A market that rests."""
        return None

    async def finish(self) -> None:
        """Wait for a broker that does not answer."""
        self.finishes.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.course.append("finishes no more")

    def release(self) -> None:
        """Another process is the owner."""
        self.course.append("released")

    async def disconnect(self) -> None:
        """Nothing can be sent from here on."""
        self.course.append("disconnected")

    def advance(self) -> object:
        """Nothing moves."""
        return None


async def test_a_market_that_loses_its_owner_while_it_leaves_ends_at_once() -> None:
    """A last snapshot that waits for the broker is given up before the producer is: sent without one, it ended the process."""
    worker = Worker()
    work = MarketWork(
        cast("Any", None),
        Task(Work.ENGINE, "BTC-PERP"),
        StreamSettings("", "", Path()),
        lambda *_: cast("MarketWorker", worker),
        watch=None,
        beginnings=asyncio.Semaphore(1),
        endings=asyncio.Semaphore(1),
    )
    work.start()
    work.own()
    await work.is_up.wait()
    leaving = asyncio.create_task(work.finish())
    await worker.finishes.wait()
    work.disown()
    async with asyncio.timeout(10):
        await leaving
    assert worker.course.index("finishes no more") < worker.course.index("disconnected")
    with suppress(asyncio.CancelledError):
        await work.abandon()
