"""On any stored book a preview says what the engine then does, and what it says of a part of the book is true of that part."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exchange.engine.log.replay import FillLeft, Replay
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from exchange.position import Position
from exchange.preview import Outcome, outcome_of, rebuild
from exchange.risk.account import MarketState
from schemas.commands import PlaceOrder, SetIndex
from schemas.orders import LiquidityRole, OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.units import SECOND_US, Micros, Nanos, Ticks, Timestamp
from schemas.wire import encode
from store.submission import reachable_book
from store.submission.reachable_book import ReachableBook, market_at, read_moment, read_reachable
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange, seeded

BTC = "BTC-PERP"
MARKS = (56_000, 64_000)
PRICES = sorted({574_000, 624_000, *range(550_000, 660_000, 10_000)})
"""Few prices, the edges of the resting bands among them, so that orders meet in one queue."""
LOT_VALUE = 100
"""Micros of a lot per tick."""
STEPS, BOOKS, TRIES = 15, 4, 30


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


def any_order(chance: random.Random, users: list[int], at: int, market: Market, patience: float = 0.0) -> PlaceOrder:
    """An order of any kind, at one of the prices; `patience` is how often it waits for the other side of the mark."""
    user, side, waits = chance.choice(users), chance.choice(list(Side)), chance.random() < patience
    price = chance.choice([price for price in PRICES if side.sign * (market.mark - price) >= 0] if waits else PRICES)
    is_market = not waits and chance.random() < 0.2
    in_force = TimeInForce.IOC if is_market else chance.choice((TimeInForce.GTC, TimeInForce.GTC, *TimeInForce))
    rests = in_force in {TimeInForce.GTC, TimeInForce.GTD}
    return an_order(
        user,
        side,
        chance.randint(1, 12) * (1 if waits else 3),
        price,
        at=Timestamp(NOON + at),
        order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
        time_in_force=in_force,
        post_only=rests and chance.random() < 0.1,
        reduce_only=chance.random() < (0.6 if side.sign * market.position_of(user) < 0 else 0.1),
        self_trade_prevention=chance.choice(list(SelfTradePrevention)),
        loss_per_lot=Micros(max(0, side.sign * (price - market.mark)) * LOT_VALUE),
        expires_at=Timestamp(NOON + at + chance.randint(1, 60)) if in_force is TimeInForce.GTD else None,
    )


async def go_on(exchange: Exchange, chance: random.Random, users: list[int], at: int) -> int:
    """Some orders at one mark, some at another after a jump; persisted. The time after them."""
    for mark in MARKS:
        await exchange.submit(BTC, SetIndex(Timestamp(NOON + at), Nanos(mark * 10**9)))
        await exchange.settle()
        for _ in range(2):
            for _ in range(STEPS):
                at += chance.randint(0, 2)
                await exchange.submit(BTC, any_order(chance, users, at, exchange.markets[BTC], patience=0.6))
            await exchange.settle()
            await amend_some(exchange, chance)
            await exchange.settle()
    await amend_some(exchange, chance)  # and these are under way
    return at


async def amend_some(exchange: Exchange, chance: random.Random) -> None:
    """Ask for other terms of some resting orders; several are refused."""
    resting = [order for side in Side for order in exchange.markets[BTC].book.walk(side)]
    for order in chance.sample(resting, min(3, len(resting))):
        quantity, price = f"0.{chance.randint(1, 30):03d}", f"{chance.choice(PRICES) // 10}"
        await exchange.ask_to_amend(BTC, order.user, order.order_seq, quantity, price)


async def read(exchange: Exchange, command: PlaceOrder) -> tuple[Outcome, ReachableBook]:
    """What a preview of the command finds, in its own snapshot."""
    session, known, engine = exchange.session, exchange.registry.by_name[BTC], exchange.markets[BTC]
    async with session.transaction(isolation="repeatable_read", readonly=True):
        mark, status = await session.fetchrow("SELECT mark, status FROM markets WHERE name = $1", BTC)
        market = MarketState(known.market_id, known.spec, status, Ticks(mark), engine.rules)
        moment = await read_moment(session, known.market_id, command.at)
        held = engine.positions.get(command.user, Position())
        book = await read_reachable(session, market, moment, command, Position(held.lots, held.cost))
    rebuilt = rebuild(market_at(market, moment), book.positions, book.orders)
    assert rebuilt.second == rebuilt.clock // SECOND_US  # else each preview counts the seconds of decades
    return outcome_of(rebuilt, command, book.makers if book.is_truncated else None), book


def really(exchange: Exchange, command: PlaceOrder) -> tuple[Replay, list[FillLeft]]:
    """The engine's own state after the command, and the command's fills."""
    engine = load(dump(exchange.markets[BTC]))
    replay, seq = Replay(engine, last_event=2**62), engine.command_seq + 1
    replay.apply(seq, encode(command))
    return replay, [fill for fill in replay.fills if fill.role is LiquidityRole.TAKER and fill.order == seq]


def assert_is_what_happens(outcome: Outcome, replay: Replay, fills: list[FillLeft], command: PlaceOrder) -> None:
    """Status, lots, prices, fees, profit and position."""
    seq = replay.market.command_seq
    order = replay.live.get(seq) or next(order for order in replay.ended if order.number == seq)
    assert (outcome.status, outcome.reason, outcome.remaining) == (order.status, order.reason, order.remaining)
    assert outcome.cut == command.quantity - order.remaining - sum(fill.quantity for fill in fills)
    assert_fills(outcome, fills)
    held = replay.holdings.get(command.user)
    assert (outcome.position.lots, outcome.position.cost) == ((held.lots, held.cost) if held else (0, 0))


def assert_fills(outcome: Outcome, fills: list[FillLeft]) -> None:
    """Its lots by price, best first, and the sums."""
    lots: dict[int, int] = {}
    for fill in fills:
        lots[fill.price] = lots.get(fill.price, 0) + fill.quantity
    assert list(outcome.fills.items()) == list(lots.items())
    sums = [sum(each) for each in zip(*((f.notional, f.fee, f.realized) for f in fills), strict=True)] or [0, 0, 0]
    assert [outcome.notional, outcome.fee, outcome.realized] == sums


@pytest.mark.parametrize("seed", [2, 3])
async def test_a_preview_says_what_the_engine_then_does(
    exchange: Exchange, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Books with moved, expiring and reduce-only orders of five users, read in small pieces and previewed with any order."""
    monkeypatch.setattr(reachable_book, "_CHUNK", 3)
    chance, at, seen = seeded(seed), 0, set()
    users = [await exchange.user(f"{n}@x.io", "1000000") for n in range(5)]
    await exchange.settle()
    for _ in range(BOOKS):
        at = await go_on(exchange, chance, users, at)
        await assert_rows_equal_the_engine(exchange, BTC)
        for _ in range(TRIES):
            command = any_order(chance, users, at + chance.choice((0, 0, 30)), exchange.markets[BTC])
            replay, fills = really(exchange, command)
            outcome, _ = await read(exchange, command)
            assert_is_what_happens(outcome, replay, fills, command)
            seen.add(outcome.reason or outcome.status)
    assert len(seen) > 7, seen
    moved = [event for event in exchange.written[BTC] if b"order.amended" in event.body]
    assert len(moved) > 2


async def test_a_preview_of_a_part_of_the_book_is_true_of_that_part(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one maker read at most: either the outcome is what happens, or it has no status and that maker's fills."""
    monkeypatch.setattr(reachable_book, "MAKERS_MAX", 1)
    chance, at = seeded(3), 0
    users = [await exchange.user(f"{n}@x.io", "1000000") for n in range(5)]
    truncated = 0
    await exchange.settle()
    for _ in range(BOOKS):
        at = await go_on(exchange, chance, users, at)
        for _ in range(TRIES):
            command = any_order(chance, users, at, exchange.markets[BTC])
            replay, fills = really(exchange, command)
            outcome, book = await read(exchange, command)
            if outcome.status is not None:
                assert_is_what_happens(outcome, replay, fills, command)
                continue
            truncated += 1
            assert book.is_truncated
            assert len(book.makers) == 1
            makers = {f.trade: f.order for f in replay.fills if f.role is LiquidityRole.MAKER}
            known = [fill for fill in fills if makers[fill.trade] in book.makers]
            if command.time_in_force is not TimeInForce.FOK or replay.ended[-1].status is OrderStatus.FILLED:
                assert_fills(outcome, known)
    assert truncated > 10
