"""Many markets in one transaction: the same rows as one market at a time, and a market that cannot go on holds up no other."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from schemas.commands import SetIndex
from schemas.orders import Side
from schemas.units import Nanos
from store.audit.audit import audit
from store.projection import ChainBroken, EventGap, MarketBatch, ProjectionBroken, Projections, RowsLocked
from store.projection.columns import COLUMNS
from store.projection.write import statement_for
from store.session.connect import STATEMENT_BYTES_MAX, Connection, StoreUnavailable
from tests.eventually import eventually
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.held_rows import holding
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange, seeded
from tests.store.test_projection import play
from tests.store.test_projection_faults import kill_sessions_waiting_for_a_lock, rechained, sessions_waiting_for_a_lock

BTC, ETH = "BTC-PERP", "ETH-PERP"
_ROWS = {
    "accounts": "SELECT user_id, wallet FROM accounts ORDER BY 1",
    "positions": "SELECT to_jsonb(p) - 'leverage_set_at' FROM positions p ORDER BY user_id, market_id",
    "orders": "SELECT to_jsonb(o) FROM orders o ORDER BY order_id",
    "fills": "SELECT to_jsonb(f) FROM fills f ORDER BY market_id, trade_id, role",
    "ledger": "SELECT to_jsonb(l) - 'entry_id' - 'balance_after' FROM ledger l ORDER BY market_id, event_seq, entry_id",
    "markets": "SELECT to_jsonb(m) - 'created_at' FROM markets m ORDER BY market_id",
    "progress": "SELECT to_jsonb(p) FROM progress p ORDER BY market_id",
    "records": "SELECT to_jsonb(r) - 'persisted_at' - 'matched_at' FROM persisted_records r ORDER BY market_id, command_seq",
}
_WRONG_BALANCES = """
SELECT count(*) FROM (
  SELECT balance_after, sum(amount) OVER (PARTITION BY account ORDER BY entry_id) AS balance FROM ledger WHERE account > 0) t
WHERE balance_after <> balance
"""


@pytest_asyncio.fixture
async def exchange(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Exchange]:
    """Two users trade in both markets, and nothing is persisted yet; in the end the books balance."""
    monkeypatch.setattr("store.projection.projector.LOCK_TIMEOUT_MS", 60_000)
    opened = await open_exchange(database)
    maker, taker = await opened.user("a@x.io"), await opened.user("b@x.io")
    for market, price in ((BTC, 600_000), (ETH, 300_000)):
        for _ in range(3):
            await opened.submit(market, an_order(maker, Side.BUY, 2, price))
            await opened.submit(market, an_order(taker, Side.SELL, 1, price))
        await opened.match(market)
    yield opened
    findings = await audit(opened.session)
    await opened.close()
    assert findings == []


@pytest_asyncio.fixture
async def projections(exchange: Exchange) -> AsyncIterator[Projections]:
    """The projections of both markets over one session, which is open."""
    shared = Projections(exchange.connect)
    await shared.open()
    yield shared
    await shared.close()


def whole(exchange: Exchange, *markets: str) -> list[MarketBatch]:
    """The whole log of each market, in one batch."""
    return [MarketBatch(market, exchange.records(market, 1)) for market in markets]


async def rows_of(session: Connection) -> dict[str, list[Any]]:
    """Every row that the projection writes, except for the times of its writing."""
    return {name: [tuple(row) for row in await session.fetch(statement)] for name, statement in _ROWS.items()}


async def progress_of(exchange: Exchange, market: str) -> int:
    """The last persisted event of a market."""
    statement = "SELECT event_seq FROM progress JOIN markets USING (market_id) WHERE name = $1"
    return int(await exchange.session.fetchval(statement, market))


async def test_several_markets_are_persisted_in_one_transaction(exchange: Exchange, projections: Projections) -> None:
    """The same two accounts trade in both: their rows are written once, by one transaction, and the wallets add up."""
    assert await projections.apply(whole(exchange, ETH, BTC)) == [7, 7]
    for market in (BTC, ETH):
        await assert_rows_equal_the_engine(exchange, market)
    assert len({row[0] for row in await exchange.session.fetch("SELECT xmin FROM fills")}) == 1
    assert await exchange.session.fetchval("SELECT count(*) FROM fills") == 12
    assert await exchange.session.fetchval(_WRONG_BALANCES) == 0


@pytest.mark.parametrize("seed", [3, 11])
async def test_batches_of_markets_give_the_rows_of_one_market_at_a_time(
    database: str, postgres_dsn: str, template: str, seed: int
) -> None:
    """Random commands of few accounts in both markets, records repeated and cut at random, in batches of one or both."""
    written = []
    for dsn, is_shared in ((database, True), (await copied(postgres_dsn, template, f"beside_{seed}"), False)):
        played = await open_exchange(dsn)
        users = [await played.user(f"u{n}@x.io", "1000000") for n in range(4)]
        await play(played, seeded(seed), users, commands=150)
        shared = Projections(played.connect) if is_shared else None
        await persist_at_random(played, shared, seeded(seed))
        for market in (BTC, ETH):
            await assert_rows_equal_the_engine(played, market)
        assert await played.session.fetchval(_WRONG_BALANCES) == 0
        assert await audit(played.session) == []
        written.append(await rows_of(played.session))
        if shared is not None:
            await shared.close()
        await played.close()
    assert written[0] == written[1]


async def test_a_gap_in_one_market_holds_up_no_other(exchange: Exchange, projections: Projections) -> None:
    """The market with the gap is left out, says what it lacks, and is persisted when it has it."""
    gapped = MarketBatch(BTC, exchange.records(BTC, 1, last=3) + exchange.records(BTC, 6))
    gap, commands = await projections.apply([gapped, *whole(exchange, ETH)])
    assert isinstance(gap, EventGap)
    assert (gap.market, gap.expected, commands) == (BTC, 4, 7)
    assert (await progress_of(exchange, BTC), await progress_of(exchange, ETH)) == (0, exchange.markets[ETH].event_seq)
    assert await projections.apply(whole(exchange, BTC, ETH)) == [7, 0]
    await assert_rows_equal_the_engine(exchange, BTC)


async def test_a_foreign_log_of_one_market_holds_up_no_other(exchange: Exchange, projections: Projections) -> None:
    """A record that chains to another history, and one that contradicts itself."""
    await projections.apply([MarketBatch(BTC, exchange.records(BTC, 1, last=3))])
    foreign = MarketBatch(BTC, [rechained(exchange.records(BTC, 4), "f" * 32)])
    misplaced = MarketBatch(BTC, exchange.records(ETH, 1))
    for wrong in (foreign, misplaced):
        broken, _ = await projections.apply([wrong, *whole(exchange, ETH)])
        assert isinstance(broken, ChainBroken)
        assert (await progress_of(exchange, BTC), await progress_of(exchange, ETH)) == (
            3,
            exchange.markets[ETH].event_seq,
        )
    assert (await projections.apply(whole(exchange, BTC)))[0]


@pytest.mark.parametrize(
    ("damage", "mending"),
    [
        ("DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders)", "orders"),
        (
            "DELETE FROM positions WHERE market_id = (SELECT market_id FROM markets WHERE name = 'BTC-PERP')",
            "positions",
        ),
        ("DELETE FROM progress WHERE market_id = (SELECT market_id FROM markets WHERE name = 'BTC-PERP')", "progress"),
    ],
)
async def test_rows_that_contradict_one_market_hold_up_no_other(
    exchange: Exchange, projections: Projections, damage: str, mending: str
) -> None:
    """Whether the fold notices it or only the count of the written rows: the others are persisted over the same session."""
    await exchange.session.execute(f"CREATE TABLE kept AS SELECT * FROM {mending}")
    await exchange.session.execute(damage)
    for order in ((BTC, ETH), (ETH, BTC)):
        outcomes = dict(zip(order, await projections.apply(whole(exchange, *order)), strict=True))
        assert isinstance(outcomes[BTC], ProjectionBroken)
        assert isinstance(outcomes[ETH], int)
    assert await projections.open() == 1
    await assert_rows_equal_the_engine(exchange, ETH)
    assert (
        await exchange.session.fetchval(
            "SELECT count(*) FROM fills JOIN markets USING (market_id) WHERE name = $1", BTC
        )
        == 0
    )
    await exchange.session.execute(f"INSERT INTO {mending} SELECT * FROM kept ON CONFLICT DO NOTHING")
    assert await projections.apply(whole(exchange, BTC)) == [7]


@pytest.mark.parametrize(
    "held",
    [
        "SELECT 1 FROM progress p JOIN markets m USING (market_id) WHERE m.name = 'BTC-PERP' FOR UPDATE OF p",
        "SELECT 1 FROM accounts WHERE user_id IN (SELECT user_id FROM users WHERE email LIKE '%@btc.io') FOR UPDATE",
        "SELECT 1 FROM markets WHERE name = 'BTC-PERP' FOR UPDATE",
    ],
)
async def test_rows_of_one_market_that_are_held_hold_up_no_other(
    database: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen process has them, before or after those that the projection locks first: the market waits, and loses nothing."""
    monkeypatch.setattr("store.projection.projector.LOCK_TIMEOUT_MS", 300)
    exchange = await open_exchange(database)
    for market, price in ((BTC, 600_000), (ETH, 300_000)):
        maker, taker = [await exchange.user(f"{name}@{market[:3].lower()}.io") for name in ("maker", "taker")]
        await exchange.submit(market, an_order(maker, Side.BUY, 2, price))
        await exchange.submit(market, an_order(taker, Side.SELL, 1, price))
        await exchange.submit(market, SetIndex(NOON, Nanos(price * 10**8)))
        await exchange.match(market)
    projections = Projections(exchange.connect)
    assert await projections.open() == 1
    async with holding(exchange.dsn, held):
        for waits_briefly in (False, True):
            outcomes = await projections.apply(whole(exchange, BTC, ETH), waits_briefly=waits_briefly)
            assert isinstance(outcomes[0], RowsLocked)
            assert outcomes[1] == (0 if waits_briefly else 4)
        await assert_rows_equal_the_engine(exchange, ETH)
    assert await projections.apply(whole(exchange, BTC, ETH)) == [4, 0]
    assert await projections.open() == 1
    await assert_rows_equal_the_engine(exchange, BTC)
    assert await audit(exchange.session) == []
    await projections.close()
    await exchange.close()


async def test_a_deadlock_repeats_the_transaction_of_all_markets(exchange: Exchange, projections: Projections) -> None:
    """PostgreSQL picks the projection as the victim: it runs again over the same session, and nobody notices."""
    other = await asyncpg.connect(exchange.dsn)
    await other.execute("SET deadlock_timeout = '60s'")
    await other.execute("BEGIN")
    await other.execute("SELECT 1 FROM accounts FOR UPDATE")
    waiting = asyncio.create_task(projections.apply(whole(exchange, BTC, ETH)))
    await eventually(lambda: sessions_waiting_for_a_lock(exchange))
    await other.execute("SELECT 1 FROM progress ORDER BY market_id DESC FOR UPDATE")
    await other.execute("COMMIT")
    assert await waiting == [7, 7]
    assert await projections.open() == 1
    await other.close()


async def test_two_processes_with_the_same_markets_never_deadlock(exchange: Exchange) -> None:
    """Whatever order their markets come in, they lock in one order, and each event is persisted once."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await exchange.session.fetchval(deadlocks)
    pair = [Projections(exchange.connect), Projections(exchange.connect)]
    await asyncio.gather(*(each.open() for each in pair))
    for last in range(1, max(market.event_seq for market in exchange.markets.values()) + 1):
        batches = [MarketBatch(market, exchange.records(market, 1, last=last)) for market in (BTC, ETH)]
        await asyncio.gather(pair[0].apply(batches), pair[1].apply(batches[::-1]))
    for each in pair:
        await each.close()
    for market in (BTC, ETH):
        await assert_rows_equal_the_engine(exchange, market)
    await exchange.session.execute("SELECT pg_stat_clear_snapshot()")
    assert await exchange.session.fetchval(deadlocks) == before


async def test_a_lost_session_is_an_outage_until_another_is_opened(
    exchange: Exchange, projections: Projections
) -> None:
    """A market may be checked against the database before anything is written over another session."""
    async with exchange.session.transaction():
        await exchange.session.execute("SELECT 1 FROM progress FOR UPDATE")
        waiting = asyncio.create_task(projections.apply(whole(exchange, BTC, ETH)))
        await eventually(lambda: kill_sessions_waiting_for_a_lock(exchange))
        with pytest.raises(StoreUnavailable):
            await waiting
    with pytest.raises(StoreUnavailable):
        await projections.apply(whole(exchange, BTC))
    assert await progress_of(exchange, BTC) == 0
    assert await projections.open() == 2
    assert await projections.apply(whole(exchange, BTC, ETH)) == [7, 7]


def test_every_statement_fits_into_the_cache_of_the_client() -> None:
    """A longer one would be parsed and planned at every call."""
    assert len(statement_for(tuple(COLUMNS), has_fund=True)) < STATEMENT_BYTES_MAX


async def persist_at_random(exchange: Exchange, shared: Projections | None, chance: random.Random) -> None:
    """Deliver both logs in pieces: over one session, both or one at a time, or by the projection of each market."""
    delivered = {}
    for market in (BTC, ETH):
        await exchange.match(market)
        delivered[market] = exchange.shuffled_records(market, chance)
    if shared is not None:
        await shared.open()
    while any(delivered.values()):
        taken = [
            MarketBatch(
                market, [delivered[market].pop(0) for _ in range(min(len(delivered[market]), chance.randint(1, 6)))]
            )
            for market in chance.sample((BTC, ETH), chance.randint(1, 2))
        ]
        if shared is None:
            for batch in taken:
                await exchange.projections[batch.market].apply(batch.records)
        else:
            assert all(isinstance(outcome, int) for outcome in await shared.apply(taken))


async def copied(dsn: str, template: str, name: str) -> str:
    """Another database of the run, seeded as `database`; the server ends with the run."""
    session = await asyncpg.connect(dsn)
    await session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await session.close()
    return dsn.replace("/perpetua?", f"/{name}?")
