"""How often the API asks for the backlog: seldom while there is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
import pytest_asyncio

import api.submission.load_poller
from api.database import Database
from api.submission.load_poller import LoadPoller
from schemas.commands import PassBarrier
from store.command_log.commands import append_command
from store.markets.registry import MarketRegistry
from store.session.connect import Session, connect_reader_pool
from tests.eventually import eventually
from tests.store.account_builder import NOW, session_to

BTC = "BTC-PERP"
T = TypeVar("T")


class CountedDatabase(Database):
    """Counts what it is asked."""

    runs = 0

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """As always."""
        self.runs += 1
        return await super().run(work)


@pytest_asyncio.fixture(name="asked")
async def database_of_test(database: str) -> AsyncIterator[CountedDatabase]:
    """The database as the poller asks it."""
    asked = CountedDatabase(await connect_reader_pool(database, "api", command_timeout_s=1.5))
    yield asked
    asked.close()


async def test_a_backlog_is_followed_and_an_idle_exchange_is_not(
    asked: CountedDatabase, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look at an idle exchange comes in an hour here."""
    monkeypatch.setattr(api.submission.load_poller, "IDLE_EVERY_S", 3_600.0)
    poller = LoadPoller(asked, MarketRegistry(), lambda: NOW, every_s=0.01)
    async with session_to(database) as session:
        await poller.start()
        assert poller.current[BTC].backlog == 1  # its listing
        await append_command(session, BTC, PassBarrier(NOW, "b"))
        await eventually(lambda: poller.current[BTC].backlog == 2)
        await session.execute(
            "UPDATE progress p SET command_seq = c.command_seq FROM counters c WHERE p.market_id = c.market_id"
        )
        await eventually(lambda: poller.current[BTC].backlog == 0)
        runs = asked.runs
        await asyncio.sleep(0.3)
        assert asked.runs == runs
        await poller.stop()
