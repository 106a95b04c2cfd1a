"""The margin sums of an account are the sums over its live orders after every single event, whatever ended or reduced them.

The fold is the real one, over rows in memory: rows appear as the submission and the liquidator insert them, and what the
fold does to the sums is compared with adding the live orders up.
"""

import random
from collections import Counter
from typing import NamedTuple, TypeGuard

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.engine.engine import apply, fail, orders_of_command
from exchange.engine.market import Market, empty_market
from schemas.commands import AmendOrder, Command, Liquidate, PlaceOrder, UserCommand
from schemas.events import Event
from schemas.ids import INSURANCE_FUND, order_key, seq_of_order_key
from schemas.market import RULES_FOURTH
from schemas.orders import OrderStatus, Side
from schemas.units import Micros, Ticks
from store.projection.fold import Fold
from store.projection.rows import MarginTerms, OrderRow, PositionUpdate, Rows
from tests.exchange.builders import (
    USDC,
    amend,
    barrier,
    cancel,
    deleveraging,
    liquidation,
    listed,
    order,
    price,
    rules,
    sources,
    take_over,
    tick,
)
from tests.exchange.builders import index as index_at
from tests.exchange.streams import logs

MARKET_ID = 7
USERS = range(1, 5)


class Sums(NamedTuple):
    """What `positions` keeps of an account's live orders."""

    buy_lots: int = 0
    sell_lots: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    open_loss: int = 0
    open_fees: int = 0
    live_orders: int = 0


class Tables:
    """A market, and the rows that follow from its commands and events."""

    def __init__(self) -> None:
        self.market: Market = empty_market("TEA-PERP")
        self.ended: Counter[str] = Counter()
        self._rows = Rows(dict.fromkeys((*USERS, INSURANCE_FUND), 0), {})
        first = listed()
        self._lot_value = first.spec.lot_value
        self._fold = Fold(MARKET_ID, first.spec, self._rows)
        self._unfolded: list[tuple[Event, Command]] = []
        self.send(first)

    def send(self, command: Command, *, breaks: bool = False, lags: bool = False) -> None:
        """Insert what is inserted with the command, apply it, fold its events; all sums are compared after each.

        When the projection lags, the events are folded with those of a later command. An amend that would be refused is not sent.
        """
        if isinstance(command, AmendOrder) and not self._is_open_for(command):
            return
        seq = self.market.command_seq + 1
        self._insert(seq, command)
        self._check("before its events", command)
        events = fail(self.market, seq, command) if breaks and _can_fail(command, seq) else None
        self._unfolded += [
            (event, command) for event in (apply(self.market, seq, command) if events is None else events)
        ]
        if not lags:
            self._catch_up()

    @property
    def live(self) -> list[tuple[int, int]]:
        """User and number of each order that is live as far as it is folded."""
        return [(row.user, seq_of_order_key(key)) for key, row in self._rows.orders.items() if row.is_live]

    def _catch_up(self) -> None:
        for event, command in self._unfolded:
            self._fold.apply(event)
            self._check(event, command)
            self._count(event)
        self._unfolded.clear()
        self._check_book()

    def _is_open_for(self, command: AmendOrder) -> bool:
        row = self._rows.orders.get(order_key(MARKET_ID, command.order))
        return row is not None and row.user == command.user and row.is_live and row.amend_seq is None

    def _insert(self, seq: int, command: Command) -> None:
        """As store.submission does for an order and an amend, and store.liquidations for a step."""
        if isinstance(command, AmendOrder):
            self._amend(seq, command)
        if not isinstance(command, PlaceOrder | Liquidate):
            return
        is_forced = isinstance(command, Liquidate)
        row = OrderRow(
            order_id=order_key(MARKET_ID, seq),
            user=command.user,
            status=OrderStatus.PENDING,
            is_buy=command.side is Side.BUY,
            remaining=command.quantity,
            margin_price=command.price if is_forced else command.margin_price,
            loss_per_lot=0 if is_forced else command.loss_per_lot,
            fee_per_lot=0 if is_forced else command.fee_per_lot,
            filled_lots=0,
            filled_notional=0,
            reason=None,
            best_opposite=None,
            is_live=True,
        )
        self._rows.orders[row.order_id] = row
        self._add(row, 1)

    def _amend(self, seq: int, command: AmendOrder) -> None:
        """From now on it counts with the larger of each term, on its lots and those added."""
        row = self._rows.orders[order_key(MARKET_ID, command.order)]
        self._add(row, -1)
        row.old_terms = MarginTerms(row.margin_price, row.loss_per_lot, row.fee_per_lot, 0)
        row.new_terms = MarginTerms(command.margin_price, command.loss_per_lot, command.fee_per_lot, 0)
        larger = map(max, row.old_terms, row.new_terms)
        row.margin_price, row.loss_per_lot, row.fee_per_lot, _ = larger
        row.amend_seq, row.amend_lots = seq, max(0, command.added)
        self._add(row, 1)

    def _add(self, row: OrderRow, times: int) -> None:
        position = self._rows.positions.setdefault(row.user, PositionUpdate(MARKET_ID, row.user))
        for name, value in zip(Sums._fields, self._counted(row), strict=True):
            setattr(position, name, getattr(position, name) + times * value)

    def _counted(self, row: OrderRow) -> Sums:
        lots = row.remaining + row.amend_lots
        notional = lots * row.margin_price * self._lot_value
        bought, sold = (lots, 0) if row.is_buy else (0, lots)
        costs = (lots * row.loss_per_lot, lots * row.fee_per_lot)
        return Sums(bought, sold, notional if row.is_buy else 0, 0 if row.is_buy else notional, *costs, 1)

    def _check(self, after: Event | str, command: Command) -> None:
        for user, position in self._rows.positions.items():
            live = [self._counted(row) for row in self._rows.orders.values() if row.user == user and row.is_live]
            kept = Sums(*(getattr(position, name) for name in Sums._fields))
            assert kept == Sums(*map(sum, zip(*live, strict=True))), (user, after, command)

    def _check_book(self) -> None:
        """Between two commands an order is live exactly while it rests, with the same lots."""
        live = {row.order_id: row.remaining for row in self._rows.orders.values() if row.is_live}
        book = self.market.book
        assert live == {order_key(MARKET_ID, o.order_seq): o.remaining for side in Side for o in book.walk(side)}

    def _count(self, event: Event) -> None:
        kind = type(event).__name__
        self.ended[kind] += 1
        if reason := getattr(event, "reason", None):
            self.ended[f"{kind} {reason}"] += 1


def _can_fail(command: Command, seq: int) -> TypeGuard[UserCommand]:
    """A user's command that breaks the engine. A cancel names orders of before; the random ones name any, also their own sequence."""
    if not isinstance(command, UserCommand):
        return False
    return isinstance(command, PlaceOrder) or all(number < seq for number in orders_of_command(seq, command))


def odd(command: Command) -> Command:
    """An order, or an amend, that adds odd amounts to every sum, so that a wrong subtraction is noticed."""
    if isinstance(command, AmendOrder):
        terms = {"margin_price": Ticks(command.margin_price + 2), "loss_per_lot": Micros(command.loss_per_lot + 7)}
        return msgspec.structs.replace(command, fee_per_lot=Micros(13), **terms)
    if not isinstance(command, PlaceOrder):
        return command
    return msgspec.structs.replace(
        command,
        margin_price=Ticks(command.price + 3),
        loss_per_lot=Micros(command.loss_per_lot + 5),
        fee_per_lot=Micros(11),
    )


@given(logs(), st.sets(st.integers(0, 59), max_size=6))
@example([*(barrier("b") for _ in range(4)), cancel(1, 6, 0)], {4})
def test_margin_sums_are_exact_after_every_event(log: list[Command], broken: set[int]) -> None:
    """Random logs with orders of every kind, liquidation orders and take-overs; some commands break the engine."""
    tables = Tables()
    for number, command in enumerate(log):
        tables.send(odd(command), breaks=number in broken)


@given(logs(), st.sets(st.integers(0, 59), max_size=4), st.sets(st.integers(0, 59)))
def test_margin_sums_are_exact_while_the_projection_lags(log: list[Command], broken: set[int], lags: set[int]) -> None:
    """Orders fill, shrink, end and are cancelled while amends of them are under way; some commands break the engine."""
    tables = Tables()
    for number, command in enumerate(log):
        tables.send(odd(command), breaks=number in broken, lags=number in lags)
    tables.send(barrier("the end"))


@pytest.mark.parametrize("seed", range(2))
def test_margin_sums_are_exact_while_orders_are_amended(seed: int) -> None:
    """Eight hundred commands a seed, half of them amends, behind a projection that lags most of the time: every verdict comes."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible log is the point
    tables = Tables()
    tables.send(rules(RULES_FOURTH))
    for _ in range(800):
        tables.send(odd(_amending(dice, tables)), breaks=dice.random() < 0.03, lags=dice.random() < 0.7)
    tables.send(barrier("the end"))
    for what in ("OrderAmended", "TradeExecuted", "OrderShrunk", "CommandFailed"):
        assert tables.ended[what] > 4, what
    for reason in ("ENDED", "POST_ONLY_WOULD_TAKE"):
        assert tables.ended[f"AmendRefused {reason}"] > 4, reason
    for reason in ("AMENDED", "USER", "SELF_TRADE", "REDUCE_ONLY"):
        assert tables.ended[f"OrderEnded {reason}"] > 2, reason


def release_the_added_lots_twice(fold: Fold, order: OrderRow, terms: MarginTerms, added: int) -> None:
    """The planted bug: what the amend added is released by the verdict, and again."""
    fold._take_from_sums(order, order.amend_lots)
    count_exactly(fold, order, terms, added)


def forget_the_added_lots(fold: Fold, order: OrderRow, terms: MarginTerms, added: int) -> None:
    """The planted bug: what the amend added is never released."""
    fold._take_from_sums(order, -order.amend_lots)
    count_exactly(fold, order, terms, added)


count_exactly = Fold._count_exactly


@pytest.mark.parametrize("bug", [release_the_added_lots_twice, forget_the_added_lots])
def test_an_amend_that_is_released_wrongly_is_found(bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The course above finds it."""
    monkeypatch.setattr(Fold, "_count_exactly", bug)
    with pytest.raises(AssertionError):
        test_margin_sums_are_exact_while_orders_are_amended(0)


def _amending(dice: random.Random, tables: Tables) -> Command:
    live, kind, at = tables.live, dice.random(), tables.market.clock
    if live and kind < 0.5:
        user, number = dice.choice(live)
        price = dice.choice((None, None, dice.randint(95, 105)))
        options = {"post_only": dice.random() < 0.6, "loss_per_lot": dice.choice((0, 30)) * USDC}
        return amend(user, number, dice.randint(-8, 8), price, at, **options)
    if live and kind < 0.6:
        return cancel(*dice.choice(live), at)
    options = {"reduce_only": dice.random() < 0.3, "at": at, "loss_per_lot": dice.choice((0, 30)) * USDC}
    return order(dice.choice(USERS), dice.choice(list(Side)), dice.randint(1, 9), dice.randint(96, 104), **options)


@pytest.mark.parametrize("seed", range(4))
def test_margin_sums_are_exact_while_positions_are_forced(seed: int) -> None:
    """Six hundred commands a seed, in which positions are liquidated, taken over and deleveraged all the time."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible log is the point
    tables = Tables()
    for number in range(600):
        tables.send(odd(_any(dice, tables.market, number)), breaks=dice.random() < 0.02)
    for what in ("PositionTransferred", "LiquidationStepped", "OrderShrunk", "CommandFailed", "FundingSettled"):
        assert tables.ended[what] > 2, what
    for reason in ("ADL", "REDUCE_ONLY", "PRICE_BAND", "IOC_REMAINDER", "SELF_TRADE"):
        assert tables.ended[f"OrderEnded {reason}"] > 2, reason


def _any(dice: random.Random, market: Market, number: int) -> Command:
    at = number * 1_700_000_000  # every ten or so commands an interval ends
    kind = dice.random()
    if kind < 0.05:
        return tick(at)
    if kind < 0.12:
        return index_at(dice.randint(92, 108), at)
    if kind < 0.13:
        return sources("x", quorum=1, max_age_ms=600_000, at=at) if dice.random() < 0.3 else sources(quorum=0, at=at)
    if kind < 0.15:
        return price("x", dice.randint(92, 108), at)
    if kind < 0.3 and market.positions:
        return _forced(dice, market)
    options = {"reduce_only": dice.random() < 0.35, "at": at, "loss_per_lot": dice.choice((0, 30)) * USDC}
    return order(dice.choice(USERS), dice.choice(list(Side)), dice.randint(1, 30), dice.randint(95, 105), **options)


def _forced(dice: random.Random, market: Market) -> Command:
    user = dice.choice(sorted(market.positions))
    position = market.positions[user]
    cost = position.cost // USDC
    named = (user, position.lots, cost, cost + dice.randint(-50, 50))
    kind = dice.randrange(3) if user > 0 else 0
    if kind == 0:
        closing = Side.SELL if position.lots > 0 else Side.BUY
        return liquidation(user, closing, dice.randint(1, 40), dice.randint(90, 110), dice.randint(-10, 200))
    if kind == 1:
        return take_over(*named)
    others = [other for other in sorted(market.positions) if other > 0]
    return deleveraging(*named, *((other, dice.randint(1, 20)) for other in dice.sample(others, len(others))))
