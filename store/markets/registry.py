"""Markets in the database: listing one, seeding a new exchange, and the registry every process keeps.

Exception
└── MarketRefused         a specification the exchange does not admit, or a name that is taken
"""

from collections.abc import Sequence

import asyncpg
import msgspec

from schemas.commands import ListMarket
from schemas.market import SEED_MARKETS, MarketSpec, MarketStatus, spec_faults
from schemas.units import Timestamp, datetime_of
from schemas.wire import GENESIS_HASH, RULES_VERSION, encode
from store.command_log.commands import append_command
from store.session.connect import Session

_KNOWN = "SELECT market_id, name, spec, spec_seq FROM markets ORDER BY market_id"
INSURANCE_SEED = 1_000_000 * 10**6
"""Micros that the insurance fund of a new exchange starts with."""

_LISTING = """
WITH market AS (
  INSERT INTO markets (market_id, name, spec, status, operator_status, index_price, mark, mark_at, created_at, rules)
  VALUES ($1, $2, $3::jsonb, $4, $4, $5, $6, $7, $7, $9)),
counter AS (INSERT INTO counters VALUES ($1, 0)),
cursor AS (INSERT INTO relay_cursors VALUES ($1, 0))
INSERT INTO progress VALUES ($1, 0, 0, $8, $7)
"""
_FUND = """
WITH transfer AS (SELECT nextval('transfers') AS id)
INSERT INTO ledger (account, type, amount, transfer_id, at)
SELECT entry.account, 'INSURANCE_FUND_TRANSFER', entry.amount, transfer.id, $2
FROM transfer, (VALUES (house_account('insurance'), $1::int8), (house_account('external'), -$1::int8)) AS entry (account, amount)
"""


class MarketRefused(Exception):
    """The market cannot be listed; `faults` are the reasons, one sentence each."""

    def __init__(self, market: str, faults: list[str]) -> None:
        super().__init__(market, faults)
        self.market = market
        self.faults = faults


class KnownMarket(msgspec.Struct, frozen=True):
    """A listed market: its number in the database, its public name and its rules, as event `spec_seq` has left them."""

    market_id: int
    name: str
    spec: MarketSpec
    spec_seq: int = 0


class MarketRegistry:
    """The listed markets a process knows, by name and by number. It only grows; only their risk tiers and limits change."""

    def __init__(self) -> None:
        self.by_name: dict[str, KnownMarket] = {}
        self.by_id: dict[int, KnownMarket] = {}

    async def refresh(self, connection: Session) -> None:
        """Add the markets that were listed since the last call, and read the changed specifications."""
        for row in await connection.fetch(_KNOWN):
            spec = msgspec.json.decode(row["spec"], type=MarketSpec)
            known = KnownMarket(row["market_id"], row["name"], spec, row["spec_seq"])
            self.by_name[known.name] = known
            self.by_id[known.market_id] = known

    def is_current(self, market_id: int, spec_seq: int) -> bool:
        """Whether the market is known with the specification that this event has left."""
        known = self.by_id.get(market_id)
        return known is not None and known.spec_seq >= spec_seq


async def load_registry(connection: Session) -> MarketRegistry:
    """Create a registry of every market listed so far."""
    registry = MarketRegistry()
    await registry.refresh(connection)
    return registry


async def read_spec(connection: Session, market: str) -> MarketSpec:
    """The specification of a listed market; KeyError for one that is not."""
    spec = await connection.fetchval("SELECT spec FROM markets WHERE name = $1", market)
    if spec is None:
        raise KeyError(market)
    return msgspec.json.decode(spec, type=MarketSpec)


async def list_market(
    connection: Session,
    spec: MarketSpec,
    at: Timestamp,
    status: MarketStatus = MarketStatus.ACTIVE,
    rules: int = RULES_VERSION,
) -> int:
    """List a market in one transaction, with its first command `market.listed`; returns its number. Raises MarketRefused.

    It starts with the newest rules; older ones are for replaying a day as it was recorded.
    """
    if faults := spec_faults(spec):
        raise MarketRefused(spec.market, faults)
    async with connection.transaction():
        await connection.execute("LOCK TABLE markets IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM markets WHERE name = $1", spec.market):
            raise MarketRefused(spec.market, ["the name is taken"])
        market_id: int = await connection.fetchval("SELECT coalesce(max(market_id), 0) + 1 FROM markets")
        await _insert_listing(connection, market_id, ListMarket(at, spec, status, rules))
    return market_id


async def seed(
    dsn: str, at: Timestamp, specs: Sequence[MarketSpec] = SEED_MARKETS, status: MarketStatus = MarketStatus.ACTIVE
) -> None:
    """Give a new exchange its markets and its insurance fund; existing ones are left unchanged."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE markets IN SHARE ROW EXCLUSIVE MODE")
            known = (await load_registry(connection)).by_name
            for spec in specs:
                if spec.market not in known:
                    await list_market(connection, spec, at, status)
            await _fund_insurance(connection, at)
    finally:
        await connection.close()


async def _insert_listing(connection: Session, market_id: int, command: ListMarket) -> None:
    spec = command.spec
    await connection.execute(
        _LISTING,
        market_id,
        spec.market,
        encode(spec).decode(),
        command.status,
        spec.reference_price,
        spec.mark_of_index(spec.reference_price),
        datetime_of(command.at),
        GENESIS_HASH,
        command.rules,
    )
    await append_command(connection, spec.market, command)


async def _fund_insurance(connection: Session, at: Timestamp) -> None:
    seeded = (
        "SELECT 1 FROM ledger WHERE account = house_account('insurance') AND type = 'INSURANCE_FUND_TRANSFER' LIMIT 1"
    )
    if not await connection.fetchval(seeded):
        await connection.execute(_FUND, INSURANCE_SEED, datetime_of(at))
