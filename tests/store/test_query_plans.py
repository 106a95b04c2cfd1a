"""A page costs the same however many orders and fills came before: the index gives the order, nothing is sorted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from asyncpg.connection import LoggedQuery

from schemas.ids import INSURANCE_FUND, order_key
from schemas.orders import OrderStatus, Side
from schemas.rest.market_data import CandleInterval
from schemas.units import Timestamp
from store.activation import read_triggered
from store.markets.backlog import read_load
from store.markets.candles import roll_candles
from store.markets.due_orders import read_ticking
from store.projection.write import statement_for
from store.queries.accounts.fills import list_fills
from store.queries.accounts.ledger import list_ledger
from store.queries.accounts.orders import list_orders, read_order
from store.queries.accounts.receipts import list_receipts
from store.queries.accounts.statements import read_statement
from store.queries.market_data.candles import list_candles
from store.queries.market_data.funding import list_payments, read_funding
from store.queries.market_data.live_market import read_live_market, read_resting_orders
from store.queries.market_data.order_book import read_order_book
from store.queries.market_data.public_fills import newest_public_fill, read_forced_fills, read_public_fills
from store.queries.market_data.ticker import read_ticker
from store.queries.market_data.trades import list_trades
from store.queries.operations.lags import read_lags
from store.queries.paging import ListRequest, encode_cursor
from store.session.connect import Connection, connect_writer
from store.submission.reachable_book import makers_sql
from store.users.logins import list_logins, read_ended
from tests.eventually import eventually
from tests.store.projection_builders import NOON

ROWS = 4_000
_ORDERS = f"""
INSERT INTO orders (order_id, user_id, market_id, is_live, side, type, time_in_force, self_trade_prevention, post_only,
  reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at)
SELECT {order_key(1, 0)} + n, 1 + n % 2, 1, n > {ROWS} - 20, 'BUY', 'LIMIT', 'GTC', 'EXPIRE_MAKER', false, false, 1, 1, 1, 1, 0, 0,
  '2027-01-01Z'::timestamptz + n * interval '1 second', '2027-01-01Z' FROM generate_series(1, {ROWS}) n
"""
_FILLS = f"""
INSERT INTO fills SELECT 1, n, 'TAKER', n, {order_key(1, 0)} + n, 1 + n % 2, 'BUY', 1, 1, 1, 0, 0, 'TRADE',
  '2027-01-01Z'::timestamptz + n * interval '1 second' FROM generate_series(1, {ROWS}) n
"""
_RISK = f"""
INSERT INTO ledger (account, type, amount, transfer_id, at)
  SELECT CASE n % 3 WHEN 0 THEN -3 ELSE n % 3 END, 'DEPOSIT', 1, n, '2027-01-01Z'::timestamptz + n * interval '1 second'
  FROM generate_series(1, {ROWS}) n;
INSERT INTO funding_payments SELECT 1, '2027-01-01Z'::timestamptz + n * interval '8 hours', 1 + n % 2, n, 1, 1, 1, 1,
  '2027-01-01Z' FROM generate_series(1, {ROWS}) n;
INSERT INTO fundings SELECT 1, '2027-01-01Z'::timestamptz + n * interval '8 hours', n, 1, 1, 1, 1, 0, false, '2027-01-01Z'
  FROM generate_series(1, {ROWS}) n;
INSERT INTO liquidations (kind, user_id, started_at, ended_at)
  SELECT 'LIQUIDATION', 1 + n % 2, '2027-01-01Z', '2027-01-02Z' FROM generate_series(1, {ROWS}) n;
INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, inputs, at)
  SELECT n, 1, 1 + n % 2, 'RELEASE', '{{}}', '2027-01-01Z'::timestamptz + n * interval '1 second' FROM generate_series(1, {ROWS}) n
"""
_CANDLES = f"""
INSERT INTO candles SELECT 2, 3600, '2027-01-01Z'::timestamptz + n * interval '1 hour', 1, 1, 1, 1, 1, 1, 1, n, n
  FROM generate_series(1, {ROWS}) n
"""
_LOGINS = f"""
INSERT INTO users (email, password_hash, created_at) SELECT n || '@x.io', '', '2027-01-01Z' FROM generate_series(1, 100) n;
INSERT INTO logins (user_id, created_at, expires_at, address, user_agent, ended_at)
  SELECT (SELECT min(user_id) FROM users WHERE user_id > 0) + n % 100, '2026-01-01Z', '2026-01-02Z', '', '', '2026-01-01Z'
  FROM generate_series(1, {ROWS}) n;
ANALYZE logins
"""
DEEP = Timestamp(1_798_761_600_000_000 + ROWS // 4 * 1_000_000)


@pytest_asyncio.fixture
async def session(database: str) -> AsyncIterator[Connection]:
    """A database in which two users have thousands of orders and fills."""
    opened: Connection = await asyncpg.connect(database)
    await opened.execute("SET plan_cache_mode = force_custom_plan")
    for statement in (_ORDERS, _FILLS, _RISK, "ANALYZE"):
        await opened.execute(statement)
    yield opened
    await opened.close()


async def plans_of(session: Connection, logged: list[LoggedQuery], count: int) -> list[str]:
    """How PostgreSQL answers the `count` statements that were just run."""
    await eventually(lambda: len(logged) == count)  # asyncpg calls its loggers at the loop's next turn
    plans = []
    for query in logged[:count]:
        rows = await session.fetch(f"EXPLAIN {query.query}", *query.args)
        plans.append("\n".join(row[0] for row in rows))
    return plans


async def test_lists_walk_an_index_and_sort_nothing(session: Connection) -> None:
    """First pages, deep pages and filtered ones of orders and fills."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    for request in (ListRequest(), ListRequest(from_=DEEP), ListRequest(market_id="BTC-PERP")):
        await list_orders(session, 1, request)
    await list_orders(session, 1, ListRequest(cursor=encode_cursor((DEEP, order_key(1, 5)))))
    await list_fills(session, 1, ListRequest())
    await list_fills(session, 1, ListRequest(cursor=encode_cursor((DEEP, 1, 5))))
    for plan in await plans_of(session, logged, 6):
        assert "orders_of_user" in plan or "fills_of_user" in plan, plan
        assert "Sort" not in plan, plan


async def test_money_and_receipts_are_listed_by_an_index(session: Connection) -> None:
    """Ledger of a user and of the fund, funding of both kinds, receipts: first pages, deep pages, old periods."""
    lists: dict[str, tuple[Callable[[ListRequest], Awaitable[object]], object]] = {
        "ledger_of_user": (lambda asked: list_ledger(session, 1, asked), 500),
        "ledger_of_fund": (lambda asked: list_ledger(session, INSURANCE_FUND, asked), 500),
        "funding_payments_of_user": (lambda asked: list_payments(session, 1, asked), (DEEP, 1)),
        "fundings_pkey": (lambda asked: read_funding(session, "BTC-PERP", asked), DEEP),
        "liquidation_steps_of_user": (lambda asked: list_receipts(session, 1, asked), (DEEP, 5, 1)),
    }
    for index, (ask, key) in lists.items():
        logged: list[LoggedQuery] = []
        session.add_query_logger(logged.append)
        for request in (ListRequest(), ListRequest(to=DEEP), ListRequest(cursor=encode_cursor(key))):
            await ask(request)
        session.remove_query_logger(logged.append)
        plans = await plans_of(session, logged, 6 if index in ("fundings_pkey", "liquidation_steps_of_user") else 3)
        if index == "liquidation_steps_of_user":  # the few deleveragings of a counterparty are found, then sorted
            assert all("liquidation_steps_counterparty" in plan for plan in plans[1::2]), plans
            plans = plans[::2]
        for plan in plans:
            assert index in plan or "Scan using markets_name_key" in plan or "Seq Scan on markets" in plan, plan
            assert "Sort" not in plan, plan


async def test_a_statement_reads_its_month_and_what_leads_to_it_by_the_index(session: Connection) -> None:
    """Not the whole ledger of the account, whose first entries are as old as the account."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    await read_statement(session, 1, datetime(2027, 2, 1, tzinfo=UTC), NOON)
    (plan,) = await plans_of(session, logged, 1)
    assert plan.count("ledger_of_user") == 3, plan
    assert "Seq Scan" not in plan, plan


async def test_sessions_of_a_user_are_listed_by_an_index(session: Connection) -> None:
    """However many others have logged in; those that have ended are found by their expiry."""
    await session.execute(_LOGINS)
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    await list_logins(session, 1, ListRequest(), NOON, 0)
    await read_ended(session, NOON)
    mine, ended = await plans_of(session, logged, 2)
    assert "logins_of_user" in mine, mine
    assert "logins_ended" in ended, ended


async def test_a_replay_of_public_fills_walks_the_key(session: Connection) -> None:
    """From the first fill and from deep in the history: as many rows are read as are returned, nothing is sorted."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    for sequence in (1, ROWS // 2):
        await read_public_fills(session, "BTC-PERP", sequence, 100)
    await newest_public_fill(session, "BTC-PERP")
    for plan in await plans_of(session, logged, 3):
        assert "fills_pkey" in plan, plan
        assert "Sort" not in plan, plan
        assert "Seq Scan on fills" not in plan, plan


async def test_the_live_feed_begins_by_indexes(session: Connection) -> None:
    """A market, its book and its forced fills: no order that has ended and no other fill is read."""
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "fills_pkey": lambda: read_live_market(session, "BTC-PERP"),
        "orders_book": lambda: read_resting_orders(session, "BTC-PERP"),
        "fills_forced": lambda: read_forced_fills(session, "BTC-PERP", 1, 100),
    }
    await read_resting_orders(session, "BTC-PERP")  # the session learns the types of arrays once
    for index, ask in asked.items():
        plan = await _plans(session, ask, 1)
        assert index in plan, plan
        assert "Sort" not in plan, plan
        for table in ("orders", "fills"):
            assert f"Seq Scan on {table}" not in plan, plan


async def test_open_orders_are_found_among_the_live_ones(session: Connection) -> None:
    """However many have ended, only the live ones are looked through."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    await list_orders(session, 1, ListRequest(statuses=frozenset({OrderStatus.OPEN})))
    (plan,) = await plans_of(session, logged, 1)
    assert "orders_live" in plan, plan


async def test_waiting_orders_are_found_among_those_that_wait(session: Connection) -> None:
    """Of a user, of the activator and of the clock: however many orders have ended, none of them is looked at."""
    await session.execute("ALTER TABLE orders DISABLE TRIGGER USER")  # these orders have no accounts
    await session.execute(
        "UPDATE orders SET is_live = false, is_waiting = true, status = 'TRIGGERED', triggered_at = now(), triggered_event_seq = 1"
        " WHERE is_live"
    )
    await session.execute("ANALYZE orders")
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "orders_waiting": lambda: list_orders(session, 1, ListRequest(statuses=frozenset({OrderStatus.TRIGGERED}))),
        "orders_triggered": lambda: read_triggered(session, 100),
        "orders_waiting_due": lambda: read_ticking(session, NOON, NOON),
    }
    for index, ask in asked.items():
        plan = await _plans(session, ask, 1)
        assert index in plan, plan
        assert "Seq Scan on orders" not in plan, plan


async def test_one_order_is_found_by_its_key(session: Connection) -> None:
    """No list is read for a single order."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    assert await read_order(session, 1, "BTC-PERP-10") is not None
    await list_fills(session, 1, ListRequest(order_id="BTC-PERP-10"))
    plans = await plans_of(session, logged, 2)
    assert "orders_pkey" in plans[0], plans[0]
    assert "fills_of_order" in plans[1], plans[1]


async def _plans(session: Connection, work: Callable[[], Awaitable[object]], count: int) -> str:
    """The plans of everything that the work asks, together."""
    logged: list[LoggedQuery] = []
    session.add_query_logger(logged.append)
    await work()
    await eventually(lambda: len(logged) >= count)
    session.remove_query_logger(logged.append)
    queries = [query for query in logged if query.query.lstrip().startswith(("SELECT", "WITH"))]
    return "\n".join(await plans_of(session, queries, len(queries)))


async def test_market_data_is_found_by_its_indexes(session: Connection) -> None:
    """Book, trades, candles and ticker: no order, no fill and no candle is read that is not asked for."""
    await roll_candles(session)
    await session.execute(_CANDLES)
    await session.execute("ANALYZE")
    deep = ListRequest(to=DEEP, cursor=encode_cursor((DEEP, 5)))
    ways: dict[str, tuple[Callable[[Connection], Awaitable[object]], int]] = {
        "orders_book": (lambda on: read_order_book(on, "BTC-PERP", 50), 1),
        "fills_public": (lambda on: list_trades(on, "BTC-PERP", deep), 1),
        "fills_pkey": (lambda on: read_ticker(on, "BTC-PERP"), 1),
        "candles_pkey": (lambda on: list_candles(on, "BTC-PERP", CandleInterval.HOUR, ListRequest()), 4),
    }
    for index, (ask, count) in ways.items():
        plan = await _plans(session, lambda ask=ask: ask(session), count)  # type: ignore[misc]  # bound now
        assert index in plan, plan
        for table in ("orders", "fills", "candles"):
            assert f"Seq Scan on {table}" not in plan, plan


async def test_candles_are_kept_up_by_an_index_whenever_it_was_planned(database: str) -> None:
    """The candle maker's session has planned for an empty table and keeps the plan."""
    writer = await connect_writer(database, "test")
    for _ in range(6):
        await roll_candles(writer)
    plan = await _plans(writer, lambda: roll_candles(writer), 2)
    assert "fills_pkey" in plan, plan
    assert "Seq Scan on fills" not in plan, plan
    await writer.close()


async def test_a_preview_reads_the_front_of_the_book(session: Connection) -> None:
    """Of four thousand bids at as many prices: by the index of the book, sorted price by price, and never all of them."""
    await session.execute("UPDATE orders SET is_live = true, status = 'OPEN', price = seq_of_order_key(order_id)")
    await session.execute("ANALYZE orders")
    sql = makers_sql(Side.BUY)
    rows = await session.fetch(f"EXPLAIN {sql}", 1, order_key(1, ROWS), 100)
    plan = "\n".join(row[0] for row in rows)
    assert "Incremental Sort" in plan, plan
    assert "orders_book" in plan, plan


@pytest.mark.usefixtures("session")
async def test_the_clock_reads_the_heads_of_indexes(database: str) -> None:
    """Whether a market is in use, and what expires soon, costs the same however many orders have ended or rest."""
    writer = await connect_writer(database, "clock")
    logged: list[LoggedQuery] = []
    writer.add_query_logger(logged.append)
    try:
        await read_ticking(writer, DEEP, Timestamp(DEEP + 1_000_000))
        [plan] = await plans_of(writer, logged, 1)
    finally:
        await writer.close()
    for index in ("orders_book", "orders_timed", "positions_held", "price_reports_pkey"):
        assert index in plan, plan
    assert "Seq Scan on orders" not in plan, plan


async def test_how_far_markets_are_behind_is_read_without_their_outboxes(database: str) -> None:
    """It is read several times a second, and an outbox holds what no snapshot covers. Only the outbox was ever analyzed."""
    session: Connection = await asyncpg.connect(database)
    logged: list[LoggedQuery] = []
    try:
        await session.execute(
            f"INSERT INTO outbox SELECT 1, n, '2027-01-01Z', repeat('x', 400)::bytea FROM generate_series(2, {ROWS}) n"
        )
        await session.execute("ANALYZE outbox")
        session.add_query_logger(logged.append)
        await read_load(session, DEEP)
        await read_lags(session, DEEP)
        plans = await plans_of(session, logged, 2)
    finally:
        await session.close()
    for plan in plans:
        assert "outbox_pkey" in plan, plan
        assert "Seq Scan on outbox" not in plan, plan


async def test_wallets_are_written_by_their_key_with_a_plan_of_an_empty_database(database: str) -> None:
    """The projection plans once, when there may be hardly an account. A join would read all accounts for each wallet."""
    writer = await connect_writer(database, "projection")
    try:
        await writer.execute(f"PREPARE written (text) AS {statement_for(('wallets',), has_fund=False)}")
        plan = "\n".join(row[0] for row in await writer.fetch("EXPLAIN EXECUTE written('{}')"))
    finally:
        await writer.close()
    assert "Index Cond: (user_id = ANY" in plan, plan
    assert "Nested Loop" not in plan, plan
