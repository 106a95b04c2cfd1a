"""Two ways from the outbox to the rows: engines in memory for speed, or the real stream with its broker.

Both are driven alike: put commands into the outbox, `settle`, read the tables. Nothing here looks at a clock.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import asyncpg

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.worker.host import Unit
from agents.worker.settings import StreamSettings
from broker.event_records import pack, read_records
from broker.topics import create_topics
from exchange.engine.log.journal import answer_command
from exchange.engine.market import Market, empty_market
from schemas.units import Timestamp, datetime_of
from schemas.wire import decode_command
from store.command_log.outbox import read_commands
from store.markets.registry import MarketRegistry, load_registry
from store.projection import Projection
from store.session.connect import Connection, Session, connect_writer
from tests.agents.stream import hosted
from tests.conftest import Broker

COMMANDS_AT_ONCE = 2_000
EVENTS_AT_ONCE = 5_000
SETTLED_WITHIN_S = 60.0
_IS_SETTLED = """
SELECT coalesce(bool_and(p.command_seq >= c.command_seq), true) FROM counters c
JOIN progress p USING (market_id) JOIN markets m USING (market_id) WHERE m.name = ANY($1::text[])
"""

_SET_FUND = """
WITH transfer AS MATERIALIZED (SELECT nextval('transfers') AS id),
excess AS (SELECT sum(amount) - $1::int8 AS amount FROM ledger WHERE account = -3)
INSERT INTO ledger (account, type, amount, transfer_id, at)
SELECT entry.account, 'INSURANCE_FUND_TRANSFER', entry.sign * excess.amount, transfer.id, $2
FROM transfer, excess, (VALUES (-3, -1), (-1, 1)) AS entry (account, sign)
"""


class Venue(Protocol):
    """What matches and persists."""

    async def settle(self) -> None:
        """Return when every command in the outbox is matched and persisted."""

    async def event_bodies(self, market: str) -> list[bytes]:
        """Every event of a market's log, in order, as it was written."""


class DirectVenue:
    """Engines in memory; their events go straight into the projection, in large batches."""

    def __init__(self, dsn: str, session: Connection, registry: MarketRegistry, markets: Sequence[str]) -> None:
        self._dsn, self._session, self._registry = dsn, session, registry
        self.engines: dict[str, Market] = {name: empty_market(name) for name in markets}
        self._bodies: dict[str, list[bytes]] = {name: [] for name in markets}
        self._projections = {name: Projection(self._connect, name) for name in markets}

    async def settle(self) -> None:
        """Match and persist, market by market."""
        for name, engine in self.engines.items():
            while await self._advance(name, engine):
                pass

    async def event_bodies(self, market: str) -> list[bytes]:
        """As the journal wrote them."""
        return self._bodies[market]

    async def close(self) -> None:
        """End the sessions."""
        for projection in self._projections.values():
            await projection.close()

    async def _advance(self, name: str, engine: Market) -> bool:
        market_id = self._registry.by_name[name].market_id
        commands = await read_commands(self._session, market_id, engine.command_seq, COMMANDS_AT_ONCE)
        before = engine.event_hash
        written = [event for seq, body in commands for event in answer_command(engine, seq, decode_command(body))]
        records = list(pack(name, 1, before, written))
        while records:
            batch = [records.pop(0)]
            while records and sum(len(record.events) for record in batch) < EVENTS_AT_ONCE:
                batch.append(records.pop(0))
            await self._projections[name].apply(batch)
        self._bodies[name] += [event.body for event in written]
        return len(commands) == COMMANDS_AT_ONCE

    async def _connect(self) -> Connection:
        return await connect_writer(self._dsn, "test-projection")


class StreamVenue:
    """The real stream: relay, engine and projection of every market, over a broker."""

    def __init__(self, settings: StreamSettings, session: Connection, markets: Sequence[str]) -> None:
        self._settings, self._session, self._markets = settings, session, list(markets)

    async def settle(self) -> None:
        """Wait until the projection has reached the last command; TimeoutError when it does not."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while not await self._session.fetchval(_IS_SETTLED, self._markets):  # noqa: ASYNC110 - rows send no events
                await asyncio.sleep(0.003)

    async def event_bodies(self, market: str) -> list[bytes]:
        """As the broker has them."""
        records = [each.record for each in await read_records(self._settings.bootstrap, market, 0)]
        bodies = {
            seq: bytes(body) for record in records for seq, body in enumerate(record.events, record.first_event_seq)
        }
        return [bodies[seq] for seq in sorted(bodies)]


async def set_fund(session: Session, left: int, at: Timestamp) -> None:
    """Leave the insurance fund this many micros: the rest goes back where it came from."""
    await session.execute(_SET_FUND, left, datetime_of(at))


@asynccontextmanager
async def direct_venue(dsn: str, markets: Sequence[str]) -> AsyncIterator[DirectVenue]:
    """Engines in memory for listed markets."""
    session: Connection = await asyncpg.connect(dsn)
    venue = DirectVenue(dsn, session, await load_registry(session), markets)
    try:
        yield venue
    finally:
        await venue.close()
        await session.close()


@asynccontextmanager
async def stream_venue(dsn: str, broker: Broker, folder: Path, markets: Sequence[str]) -> AsyncIterator[StreamVenue]:
    """The stream for listed markets, hosted in the loop of the test."""
    session: Connection = await asyncpg.connect(dsn)
    await create_topics(broker.bootstrap, list(markets))
    settings = StreamSettings(dsn, broker.bootstrap, folder, session_timeout_s=10.0)
    units: list[Unit] = [part(name, settings) for name in markets for part in (engine_unit, projection_unit, Relay)]
    try:
        async with hosted(*units):
            yield StreamVenue(settings, session, markets)
    finally:
        await session.close()
