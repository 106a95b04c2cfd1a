"""The projection: events of a real engine become rows, exactly once, however they come."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exchange.engine import rules as known_rules
from schemas.commands import AdvanceClock, CancelOrder, PassBarrier, PlaceOrder, SetIndex, SetRules, SetStatus
from schemas.events import (
    CancelRefused,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderEnded,
    OrderShrunk,
    TradeExecuted,
)
from schemas.market import MarketStatus
from schemas.orders import OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.wire import RULES_VERSION, decode_event
from store.audit.audit import audit
from store.queries.accounts.adl import AdlRanks
from store.queries.accounts.balances import list_balances
from store.queries.accounts.fills import list_fills
from store.queries.accounts.orders import list_orders
from store.queries.accounts.positions import Ranking, list_positions
from store.queries.paging import ListRequest
from store.session import chained_transactions
from tests.eventually import eventually
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange, seeded

BTC, ETH = "BTC-PERP", "ETH-PERP"
EVERYTHING = ListRequest(limit=500)


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Real tables and engines; after any test the books must balance at its end."""
    opened = await open_exchange(database)
    yield opened
    findings = await audit(opened.session)
    await opened.close()
    assert findings == []


async def test_the_worked_walk_ends_in_the_numbers_of_the_specification(exchange: Exchange) -> None:
    """0.3 BTC at 60,000: the maker pays 3.6 and the taker 9, positions are +0.3 and -0.3."""
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.BUY, 500, 600_000))
    await exchange.submit(BTC, an_order(taker, Side.SELL, 300, 590_000, time_in_force=TimeInForce.IOC))
    await exchange.settle()
    wallets = [(await list_balances(exchange.session, user, EVERYTHING)).data[0].total for user in (maker, taker)]
    assert wallets == ["9996.4", "9991"]
    fills = [(await list_fills(exchange.session, user, EVERYTHING)).data[0] for user in (maker, taker)]
    assert [(fill.price, fill.quantity, fill.fee) for fill in fills] == [("60000", "0.3", "3.6"), ("60000", "0.3", "9")]
    positions = [
        (await list_positions(exchange.session, user, EVERYTHING, Ranking(AdlRanks(), NOON))).data[0]
        for user in (maker, taker)
    ]
    assert [(p.side, p.quantity, p.entry_price) for p in positions] == [
        ("LONG", "0.3", "60000"),
        ("SHORT", "0.3", "60000"),
    ]
    order = (await list_orders(exchange.session, maker, EVERYTHING)).data[0]
    assert (order.status, order.remaining_quantity, order.average_price) == (
        OrderStatus.PARTIALLY_FILLED,
        "0.2",
        "60000",
    )


async def test_profit_is_paid_to_the_wallet_when_a_position_closes(exchange: Exchange) -> None:
    """Long 0.5 from 60,000 closed at 65,000 as taker: fee 16.25, realized 2,500 (docs/semantics.md, "Position, profit, fees")."""
    trader, other = await exchange.user("a@x.io"), await exchange.user("b@x.io", "100000")
    await exchange.submit(BTC, an_order(trader, Side.BUY, 500, 600_000))
    await exchange.submit(BTC, an_order(other, Side.SELL, 500, 600_000))
    await exchange.submit(BTC, SetIndex(NOON, 65_000 * 10**9))
    await exchange.submit(BTC, an_order(other, Side.BUY, 500, 650_000))
    await exchange.submit(BTC, an_order(trader, Side.SELL, 500, 650_000, time_in_force=TimeInForce.IOC))
    await exchange.settle()
    closing = (await list_fills(exchange.session, trader, EVERYTHING)).data[0]
    assert (closing.fee, closing.realized_pnl) == ("16.25", "2500")
    assert (await list_balances(exchange.session, trader, EVERYTHING)).data[0].total == "12477.75"
    assert (await list_positions(exchange.session, trader, EVERYTHING, Ranking(AdlRanks(), NOON))).data == []


async def test_rows_equal_the_engine_after_a_random_run(exchange: Exchange) -> None:
    """Positions and resting lots in the tables are those of the engine, after hundreds of commands of every kind."""
    chance = seeded(7)
    users = [await exchange.user(f"u{n}@x.io", "1000000") for n in range(6)]
    await play(exchange, chance, users, commands=400)
    await exchange.settle()
    kinds = {type(decode_event(written.body)) for name in exchange.written for written in exchange.written[name]}
    assert kinds == {
        MarketOpened, OrderAccepted, OrderEnded, OrderShrunk, TradeExecuted, CancelRefused, MarkMoved
    }  # fmt: skip
    for name in exchange.markets:
        await assert_rows_equal_the_engine(exchange, name)


async def test_what_the_projection_writes_is_counted_and_its_next_transaction_begins(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL vacuums tables by what it has counted, and it counts between transactions only."""
    monkeypatch.setattr(chained_transactions, "COUNTED_EVERY_S", 0.0)
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")

    async def is_counted() -> bool:
        await exchange.submit(BTC, an_order(maker, Side.BUY, 1, 600_000))
        await exchange.submit(BTC, an_order(taker, Side.SELL, 1, 600_000))
        await exchange.settle()
        counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'fills'"
        return bool(await exchange.session.fetchval(counted))

    await eventually(is_counted, every_s=0.2)


async def test_repeated_and_repacked_records_change_nothing(exchange: Exchange) -> None:
    """Each record one to five times, cut at any command: the same rows as once, in one piece."""
    chance = seeded(11)
    users = [await exchange.user(f"u{n}@x.io", "1000000") for n in range(4)]
    await play(exchange, chance, users, commands=150)
    for market in exchange.markets:
        await exchange.match(market)
        commands = 0
        delivered = exchange.shuffled_records(market, chance)
        while delivered:
            size = chance.randint(1, 6)
            commands += await exchange.projections[market].apply(delivered[:size])
            delivered = delivered[size:]
        assert commands == exchange.markets[market].command_seq
        await assert_rows_equal_the_engine(exchange, market)
        assert await exchange.projections[market].apply(exchange.records(market, 1)) == 0


async def test_two_owners_of_one_market_persist_each_event_once(exchange: Exchange) -> None:
    """A zombie that applies the same records at the same time as the owner finds them done."""
    users = [await exchange.user(f"u{n}@x.io", "1000000") for n in range(3)]
    await play(exchange, seeded(3), users, commands=60)
    zombie = await open_exchange(exchange.dsn)
    for market in exchange.markets:
        await exchange.match(market)
        await exchange.projections[market].apply(exchange.records(market, 1, last=3))
        await zombie.projections[market].apply(exchange.records(market, 1))
        assert await exchange.projections[market].apply(exchange.records(market, 4)) == 0
        await assert_rows_equal_the_engine(exchange, market)
    await zombie.close()


async def test_a_barrier_a_clock_and_a_status_move_progress_and_the_market(exchange: Exchange) -> None:
    """Events without an order still count as persisted commands; the market's row follows the engine."""
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.CANCEL_ONLY))
    await exchange.submit(BTC, SetIndex(NOON, 61_000 * 10**9))
    await exchange.submit(BTC, AdvanceClock(NOON))
    last = await exchange.submit(BTC, PassBarrier(NOON, "b1"))
    await exchange.settle()
    row = await exchange.session.fetchrow(
        "SELECT m.status, m.index_price, m.mark, p.command_seq FROM markets m JOIN progress p USING (market_id) "
        "WHERE name = $1",
        BTC,
    )
    assert tuple(row) == ("CANCEL_ONLY", 61_000 * 10**9, 610_000, last)


async def test_an_order_refused_by_the_engine_gives_its_margin_back(exchange: Exchange) -> None:
    """A post-only order that would take is REJECTED with its reason and the price it would have met."""
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.SELL, 5, 600_000))
    await exchange.submit(BTC, an_order(taker, Side.BUY, 5, 600_010, post_only=True))
    await exchange.settle()
    order = (await list_orders(exchange.session, taker, EVERYTHING)).data[0]
    assert (order.status, order.reason, order.best_opposite_price) == ("REJECTED", "POST_ONLY_WOULD_TAKE", "60000")
    sums = await exchange.session.fetchrow(
        "SELECT buy_lots, buy_notional, open_loss, open_fees, live_orders FROM positions WHERE user_id = $1", taker
    )
    assert tuple(sums) == (0, 0, 0, 0, 0)


async def play(exchange: Exchange, chance: random.Random, users: list[int], commands: int) -> None:
    """Random orders of every kind, cancels and mark moves in both markets."""
    around = {BTC: 600_000, ETH: 300_000}
    sent: list[tuple[str, int, int]] = []
    for _ in range(commands):
        market, draw = chance.choice([BTC, ETH]), chance.random()
        if sent and draw < 0.2:
            market, user, seq = chance.choice(sent)
            await exchange.submit(market, CancelOrder(NOON, user, seq))
        elif draw < 0.23:
            index = around[market] * (100 + chance.randint(-2, 2)) * 10**6 // (1 if market == BTC else 10)
            await exchange.submit(market, SetIndex(NOON, index))
        else:
            user = chance.choice(users)
            sent.append((market, user, await exchange.submit(market, random_order(chance, user, around[market]))))


def random_order(chance: random.Random, user: int, around: int) -> PlaceOrder:
    """An order near the mark, of any kind."""
    kind = chance.choice([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK])
    return an_order(
        user,
        chance.choice(list(Side)),
        chance.randint(1, 20),
        around + chance.randint(-5, 5),
        time_in_force=kind,
        order_type=chance.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET])
        if kind is TimeInForce.IOC
        else OrderType.LIMIT,
        post_only=kind is TimeInForce.GTC and chance.random() < 0.2,
        reduce_only=chance.random() < 0.3,
        self_trade_prevention=chance.choice(list(SelfTradePrevention)),
    )


async def test_the_rules_version_of_a_market_is_the_one_its_log_came_to(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing starts with the newest; a move within the log is persisted like a status."""
    assert await exchange.session.fetchval("SELECT rules FROM markets WHERE name = $1", BTC) == RULES_VERSION
    monkeypatch.setattr(known_rules, "RULES_VERSION", RULES_VERSION + 1)
    await exchange.submit(BTC, SetRules(NOON, RULES_VERSION + 1))
    await exchange.settle()
    rules = await exchange.session.fetch("SELECT rules FROM markets ORDER BY name")
    assert [row["rules"] for row in rules] == [RULES_VERSION + 1, RULES_VERSION]


async def test_a_command_cut_over_two_records_is_persisted_with_its_last_event(exchange: Exchange) -> None:
    """Found by the simulator (seed 7190): a reader that waited for the command saw half of its effects."""
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    for _ in range(3):
        await exchange.submit(BTC, an_order(maker, Side.SELL, 1, 600_000))
    sweep = await exchange.submit(BTC, an_order(taker, Side.BUY, 3, 600_000))
    await exchange.match(BTC)
    last = exchange.markets[BTC].event_seq
    answered = "SELECT command_seq FROM progress JOIN markets USING (market_id) WHERE name = $1"
    assert await exchange.projections[BTC].apply(exchange.records(BTC, 1, last=last - 1)) == sweep - 1
    assert await exchange.session.fetchval(answered, BTC) == sweep - 1
    assert await audit(exchange.session) == []
    assert await exchange.projections[BTC].apply(exchange.records(BTC, last)) == 1
    assert await exchange.session.fetchval(answered, BTC) == sweep


async def test_a_fill_that_leaves_a_position_open_rewrites_no_index(exchange: Exchange) -> None:
    """A HOT update: otherwise each fill costs an entry in every index of the positions."""
    changes = "SELECT pg_stat_get_xact_tuples_updated($1::regclass), pg_stat_get_xact_tuples_hot_updated($1::regclass)"
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.BUY, 2, 600_000))
    await exchange.submit(BTC, an_order(taker, Side.SELL, 1, 600_000))
    await exchange.settle()
    async with exchange.session.transaction():
        await exchange.session.execute("UPDATE positions SET lots = lots + sign(lots), cost = cost + 1")
        updated, hot = await exchange.session.fetchrow(changes, "positions") or (0, 0)
        assert updated == hot == 2
        await exchange.session.execute("UPDATE positions SET lots = lots - sign(lots), cost = cost - 1")
