"""Listing markets and seeding a new exchange."""

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from schemas.commands import ListMarket
from schemas.market import SEED_MARKETS, MarketStatus
from schemas.units import Ppm, Timestamp
from schemas.wire import GENESIS_HASH, RULES_VERSION, decode_command
from store.command_log.broker_identity import claim_cluster, raise_epoch, read_cluster, replace_cluster
from store.command_log.commands import MarketUnknown, append_command
from store.command_log.outbox import read_commands, read_cursor
from store.markets.backlog import MarketLoad, read_load
from store.markets.progress import read_market_progress
from store.markets.registry import INSURANCE_SEED, MarketRefused, list_market, load_registry, seed
from tests.store.account_builder import NOW, session_to

SOL = replace(SEED_MARKETS[1], market="SOL-PERP", base_asset="SOL")


async def test_a_listed_market_starts_its_log_with_its_own_rules(database: str) -> None:
    """Engine and projection learn a market from command 1 alone."""
    async with session_to(database) as session:
        market_id = await list_market(session, SOL, NOW, MarketStatus.INITIALIZING)
        assert market_id == 3
        [first] = await read_commands(session, market_id, 0, 10)
        assert (first.seq, decode_command(first.payload)) == (
            1,
            ListMarket(NOW, SOL, MarketStatus.INITIALIZING, RULES_VERSION),
        )
        assert await read_cursor(session, market_id) == 0
        progress = await session.fetchrow("SELECT event_seq, command_seq, event_hash FROM progress WHERE market_id = 3")
        assert tuple(progress or ()) == (0, 0, GENESIS_HASH)
        market = await session.fetchrow("SELECT status, index_price, mark FROM markets WHERE market_id = 3")
        assert tuple(market or ()) == ("INITIALIZING", 3_000 * 10**9, 300_000)
        assert (await load_registry(session)).by_name["SOL-PERP"].spec == SOL


async def test_a_market_with_faulty_rules_or_a_taken_name_is_refused(database: str) -> None:
    """And leaves nothing."""
    async with session_to(database) as session:
        with pytest.raises(MarketRefused) as faulty:
            await list_market(session, replace(SOL, initial_margin_rate=Ppm(1)), NOW)
        assert "markClamp < initialMarginRate - maintenanceMarginRate" in faulty.value.faults
        with pytest.raises(MarketRefused):
            await list_market(session, SEED_MARKETS[0], NOW)
        assert await session.fetchval("SELECT count(*) FROM markets") == 2


async def test_seeding_again_and_in_parallel_changes_nothing(database: str) -> None:
    """Two markets and one fund of 1,000,000, whose posting sums to zero."""
    await asyncio.gather(*(seed(database, NOW) for _ in range(3)))
    async with session_to(database) as session:
        assert await session.fetchval("SELECT count(*) FROM markets") == 2
        rows = await session.fetch("SELECT account, amount, type FROM ledger ORDER BY account")
        assert [tuple(row) for row in rows] == [
            (-3, INSURANCE_SEED, "INSURANCE_FUND_TRANSFER"),
            (-1, -INSURANCE_SEED, "INSURANCE_FUND_TRANSFER"),
        ]


async def test_the_load_counts_what_is_accepted_and_not_projected(database: str) -> None:
    """Backlog and age of the oldest; an idle market is never stale."""
    async with session_to(database) as session:
        await session.execute("UPDATE progress SET command_seq = 1")
        later = type(NOW)(NOW + 11_000_000)
        assert await read_load(session, later) == {"BTC-PERP": MarketLoad(0, 0.0), "ETH-PERP": MarketLoad(0, 0.0)}
        registry = await load_registry(session)
        for _ in range(3):
            await append_command(session, "ETH-PERP", ListMarket(NOW, registry.by_id[2].spec, MarketStatus.ACTIVE))
        load = await read_load(session, later)
        assert load == {"BTC-PERP": MarketLoad(0, 0.0), "ETH-PERP": MarketLoad(3, 11.0)}
        assert [(load[name].is_stale, load[name].is_backlogged) for name in sorted(load)] == [
            (False, False),
            (True, False),
        ]
        assert (MarketLoad(20_000, 10.0).is_backlogged, MarketLoad(20_001, 10.0).is_backlogged) == (False, True)


async def test_a_mark_ages_only_where_there_are_price_sources(database: str) -> None:
    """11 s old it makes the market stale; a constant index does not, nor does a market that is closed anyway."""
    async with session_to(database) as session:
        await session.execute("UPDATE markets SET mark_at = '2027-01-15T12:00:00Z'")
        later = Timestamp(1_800_014_411_000_000)
        marked = "UPDATE markets SET price_sources = '[{\"name\": \"one\"}]', status = $1 WHERE name = 'BTC-PERP'"
        await session.execute("UPDATE progress SET command_seq = 1")
        assert [load.mark_age_s for load in (await read_load(session, later)).values()] == [0.0, 0.0]
        for status, age in (("ACTIVE", 11.0), ("CANCEL_ONLY", 11.0), ("HALTED", 0.0), ("SETTLED", 0.0)):
            await session.execute(marked, status)
            load = (await read_load(session, later))["BTC-PERP"]
            assert (load.mark_age_s, load.is_stale) == (age, age > 10), status


async def test_an_exchange_belongs_to_the_first_broker_it_met(database: str) -> None:
    """A second one learns that it is foreign; only a rebuild replaces it."""
    async with session_to(database) as session:
        assert await read_cluster(session) is None
        assert await claim_cluster(session, "ours") == "ours"
        assert await claim_cluster(session, "foreign") == "ours"
        await replace_cluster(session, "new")
        assert await read_cluster(session) == "new"


async def _epoch(session: asyncpg.Connection, market: str) -> int:
    return (await read_market_progress(session, market)).epoch


async def test_epochs_of_a_market_only_rise(database: str) -> None:
    """Each rebuild starts a new one; other markets keep theirs."""
    async with session_to(database) as session:
        assert await _epoch(session, "BTC-PERP") == 1
        assert [await raise_epoch(session, "BTC-PERP") for _ in range(2)] == [2, 3]
        assert (await _epoch(session, "BTC-PERP"), await _epoch(session, "ETH-PERP")) == (3, 1)
        with pytest.raises(MarketUnknown):
            await raise_epoch(session, "DOGE-PERP")
