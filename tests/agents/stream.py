"""A separate market on the run's broker and database, with traders, and the workers that serve it."""

import asyncio
import itertools
import logging
import os
import random
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from agents.worker.host import Unit
from agents.worker.settings import StreamSettings
from broker.event_records import hashes_in, read_records
from broker.topics import create_topics
from schemas.commands import PassBarrier
from schemas.ids import public_id_of_order
from schemas.market import SEED_MARKETS
from schemas.orders import OrderType, Side
from schemas.rest.orders import AmendRequest, OrderRequest
from schemas.rest.transfers import DepositRequest
from schemas.units import Timestamp
from schemas.wire import EventRecord
from store.audit.audit import audit
from store.command_log.commands import append_command
from store.markets.placement import place_markets
from store.markets.progress import MarketProgress, read_market_progress
from store.markets.registry import list_market, load_registry
from store.money.deposits import deposit
from store.session.connect import Connection, connect_writer
from store.submission import AmendPlaced, Submission, SubmissionRequest, SubmitAmend, SubmitOrder
from store.users.users import create_user
from tests.conftest import Broker
from tests.eventually import eventually
from tests.fail_stop import failing_the_test

BEGAN_AT = Timestamp(1_700_000_000_000_000)
"""When these markets trade: long ago for a clock."""

LOG_SHOWN = 6_000
_LIVE = """
SELECT user_id, order_id FROM orders JOIN markets USING (market_id) WHERE name = $1 AND is_live ORDER BY order_id LIMIT $2
"""
_numbers = itertools.count(1)
REPOSITORY = Path(__file__).parents[2]

log = logging.getLogger(__name__)


class Stream:
    """One market, from the outbox to the rows."""

    def __init__(self, market: str, settings: StreamSettings, session: Connection, submission: Submission) -> None:
        self.market = market
        self.settings = settings
        self.session = session
        self.submission = submission
        self.users: list[int] = []
        self.random = random.Random(7)  # noqa: S311 - the same orders on every run
        self._workers: list[subprocess.Popen[bytes]] = []

    async def submit(self, requests: Sequence[SubmissionRequest]) -> list[object]:
        """Accept requests as the API does."""
        return list(await self.submission.run(requests, BEGAN_AT, {}))

    async def trade(self, count: int) -> None:
        """Random small orders around the mark, some of which meet, in batches of random length."""
        while count > 0:
            size = min(count, self.random.randint(1, 40))
            await self.submit([self._random_order() for _ in range(size)])
            count -= size

    async def amend_live(self, count: int) -> None:
        """Amend the orders that are stored as live, oldest first: many have ended by then. Half of them cross the mark."""
        rows = await self.session.fetch(_LIVE, self.market, count)
        requests = [
            SubmitAmend(
                row["user_id"],
                public_id_of_order(self.market, row["order_id"]),
                AmendRequest(
                    quantity=f"{self.random.randint(1, 15) / 1_000:.3f}", price=self.random.choice((None, "60001"))
                ),
            )
            for row in rows
        ]
        assert any(isinstance(answer, AmendPlaced) for answer in await self.submit(requests))

    async def barrier(self) -> int:
        """A command that belongs to no order; its sequence."""
        return await append_command(self.session, self.market, PassBarrier(BEGAN_AT, "here"))

    async def progress(self) -> MarketProgress:
        """How far the market is persisted."""
        return await read_market_progress(self.session, self.market)

    async def drained(self, within_s: float = 60.0) -> MarketProgress:
        """Wait until every command accepted so far is persisted."""
        accepted = await self.session.fetchval(
            "SELECT command_seq FROM counters JOIN markets USING (market_id) WHERE name = $1", self.market
        )

        async def is_persisted() -> MarketProgress | None:
            progress = await self.progress()
            return progress if progress.command_seq >= accepted else None

        progress = await eventually(is_persisted, within_s)
        assert progress is not None
        return progress

    async def unfinished(self) -> int:
        """Orders without an answer."""
        statement = (
            "SELECT count(*) FROM orders JOIN markets USING (market_id) WHERE name = $1 AND orders.status = 'PENDING'"
        )
        return int(await self.session.fetchval(statement, self.market))

    async def records(self) -> list[EventRecord]:
        """Every event record in the log."""
        return [each.record for each in await read_records(self.settings.bootstrap, self.market, 0)]

    async def move_to(self, broker: Broker) -> None:
        """Look for the market's log on another broker, whose topics are made."""
        await create_topics(broker.bootstrap, [self.market])
        self.settings = replace(self.settings, bootstrap=broker.bootstrap)

    def spawn(self, kind: str, hindrance: str = "", shard: str = "") -> subprocess.Popen[bytes]:
        """Start a worker of the market's shard, or of another one, in its own process, hindered as tests/agents/hindered_worker.py says."""
        module = ["tests.agents.hindered_worker", hindrance] if hindrance else ["tests.agents.worker_process"]
        settings = msgspec.json.encode(self.settings, enc_hook=str).decode()
        output = (self.settings.datadir / f"{kind}-{len(self._workers)}.log").open("wb")
        worker = subprocess.Popen(
            [sys.executable, "-m", *module, kind, f"shard:{shard}" if shard else self.market, settings],
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
        self._workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> str:
        """What a worker has logged so far."""
        return next(self.settings.datadir.glob(f"*-{self._workers.index(worker)}.log")).read_text()

    def report_workers(self) -> None:
        """Show what each worker logged last, for the report of a test that fails."""
        for number, worker in enumerate(self._workers):
            log.error("worker %d:\n%s", number, self.log_of(worker)[-LOG_SHOWN:])

    def end_workers(self) -> None:
        """Kill what still runs."""
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def _random_order(self) -> SubmitOrder:
        side = self.random.choice((Side.BUY, Side.SELL))
        price = f"{60_000 + self.random.randint(-20, 20) / 10:.1f}"
        quantity = f"{self.random.randint(1, 9) / 1_000:.3f}"
        request = OrderRequest(self.market, side, OrderType.LIMIT, quantity, price)
        return SubmitOrder(self.random.choice(self.users), request)


@asynccontextmanager
async def stream_on(
    broker: Broker, dsn: str, folder: Path, users: int = 8, *, has_topics: bool = True
) -> AsyncIterator[Stream]:
    """A newly listed market with its topics and some rich users; its audit must be clean in the end."""
    market = f"T{os.getpid()}X{next(_numbers)}-PERP"
    session = await connect_writer(dsn, "test")
    await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=market), BEGAN_AT)
    await place_markets(session, [market], None)
    if has_topics:
        await create_topics(broker.bootstrap, [market])
    submission = Submission(lambda: connect_writer(dsn, "submission"), await load_registry(session))
    settings = StreamSettings(dsn, broker.bootstrap, folder, session_timeout_s=2.0)
    stream = Stream(market, settings, session, submission)
    stream.users = [await _rich_user(session, f"{number}@{market}") for number in range(users)]
    try:
        yield stream
        assert await audit(session) == []
    except BaseException:
        stream.report_workers()
        raise
    finally:
        stream.end_workers()
        await submission.close()
        await session.close()


@asynccontextmanager
async def hosted(*units: Unit) -> AsyncIterator[None]:
    """Units in the loop of the test, all up. One that never starts is stopped too: its threads would keep the run forever.

    A failure notes which of them had ended with an error: what the test waits for never comes then. One that stops its process
    fails the test.
    """
    async with failing_the_test(), _hosted(units):
        yield


@asynccontextmanager
async def _hosted(units: Sequence[Unit]) -> AsyncIterator[None]:
    ends: list[asyncio.Task[None]] = []
    try:
        await asyncio.gather(*(unit.start() for unit in units))
        ends = [asyncio.create_task(unit.wait(), name=unit.name) for unit in units]
        yield
    except BaseException as failure:
        for end in ends:
            if end.done() and (error := end.exception()) is not None:
                failure.add_note(f"{end.get_name()} had ended: " + "".join(traceback.format_exception(error)))
        raise
    finally:
        await asyncio.gather(*(unit.stop() for unit in units))
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def one_hash_each(records: Sequence[EventRecord]) -> dict[int, str]:
    """{event sequence: hash}; fails where a sequence is missing or was written with two hashes."""
    seen: dict[int, str] = {}
    for seq, chain in (pair for record in records for pair in hashes_in(record)):
        assert seen.setdefault(seq, chain) == chain, f"event {seq} was written twice, and not the same"
    assert sorted(seen) == list(range(1, len(seen) + 1))
    return seen


async def _rich_user(session: Connection, email: str) -> int:
    user = await create_user(session, email, "x", BEGAN_AT)
    assert user is not None
    await deposit(session, user, DepositRequest("USDC", "1000000"), None, BEGAN_AT)
    return user
