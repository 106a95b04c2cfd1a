"""Random courses full of conditional orders: makers quote, takers trade, the mark jumps, stops fire, groups and legs end.

Each step looks at the market, so that cancels, amends and activations name orders that are there.
"""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.commands import Command
from schemas.market import MarketStatus
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.units import Ticks
from tests.exchange.builders import (
    activation,
    amend,
    cancel,
    conditional,
    deleveraging,
    index,
    liquidation,
    order,
    rules,
    status,
    take_over,
    tick,
)

TRADERS = (1, 2, 3, 4)
CONDITIONAL = tuple(kind for kind in OrderType if kind.is_conditional)
USDC = 1_000_000


def course(seed: int, length: int, market: Market) -> Iterator[Command]:
    """At least `length` commands of a market that follows rules 4; each step sees what the steps before have led to."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible course is the point
    yield rules(4, 1)
    sent = 0
    while sent < length:
        for command in _step(dice, market):
            sent += 1
            yield command


def _step(dice: random.Random, market: Market) -> list[Command]:
    now = market.clock + dice.choice((0, 0, 1, 1_000_000))
    return dice.choices(STEPS, WEIGHTS)[0](dice, market, now)


def _quote(dice: random.Random, market: Market, now: int) -> list[Command]:
    side = dice.choice(list(Side))
    return [_order(dice, market, side, market.mark - side.sign * dice.randint(0, 3), now)]


def _take(dice: random.Random, market: Market, now: int) -> list[Command]:
    side = dice.choice(list(Side))
    return [_order(dice, market, side, market.mark + side.sign * dice.randint(0, 4), now)]


def _move(dice: random.Random, market: Market, now: int) -> list[Command]:
    return [index(min(130, max(70, market.mark + dice.randint(-4, 4))), now)]


def _tick(dice: random.Random, _: Market, now: int) -> list[Command]:
    return [tick(now + dice.choice((1, 1_000_000)))]


def _order(dice: random.Random, market: Market, side: Side, price: int, now: int) -> Any:
    expires_at = now + dice.randint(1, 3_000_000) if dice.random() < 0.1 else None
    group = dice.choice("ab") if dice.random() < 0.15 else None
    return order(
        dice.choice(TRADERS),
        side,
        dice.randint(1, 9),
        max(1, price),
        at=now,
        time_in_force=TimeInForce.GTD
        if expires_at
        else dice.choice([TimeInForce.GTC] * 5 + [TimeInForce.IOC, TimeInForce.FOK]),
        expires_at=expires_at,
        reduce_only=dice.random() < 0.15,
        self_trade_prevention=dice.choice(list(SelfTradePrevention)),
        loss_per_lot=max(0, side.sign * (price - market.mark)) * USDC,
        oco_group=group or msgspec.UNSET,
    )


def _waiting(dice: random.Random, market: Market, now: int) -> list[Command]:
    kind = dice.choice(CONDITIONAL)
    user, side = dice.choice(TRADERS), dice.choice(list(Side))
    if (held := market.position_of(user)) and dice.random() < 0.7:  # most of them protect a position
        side = Side.SELL if held > 0 else Side.BUY
    lots = dice.randint(1, 9) if kind.is_limit else dice.choice((0, 0, 2, 9))
    expires_at = now + dice.randint(1, 9_000_000) if dice.random() < 0.15 else None
    is_trailing = kind is OrderType.TRAILING_STOP_MARKET
    return [
        conditional(
            user,
            side,
            lots,
            0 if is_trailing else max(1, market.mark + dice.randint(-5, 5)),
            at=now,
            order_type=kind,
            working_type=dice.choice(list(WorkingType)),
            price=max(1, market.mark + dice.randint(-4, 4)) if kind.is_limit else 0,
            reduce_only=not lots or dice.random() < 0.6,
            post_only=kind.is_limit and dice.random() < 0.1,
            time_in_force=TimeInForce.GTD if expires_at else TimeInForce.GTC,
            expires_at=expires_at,
            callback_rate=dice.choice((1_000, 20_000, 50_000)) if is_trailing else 0,
            activation=max(1, market.mark + dice.randint(-3, 3)) if is_trailing and dice.random() < 0.5 else 0,
            self_trade_prevention=dice.choice(list(SelfTradePrevention)),
            oco_group=dice.choice("ab") if dice.random() < 0.4 else None,
        )
    ]


def _bracket(dice: random.Random, market: Market, now: int) -> list[Command]:
    parent = _order(dice, market, dice.choice(list(Side)), market.mark + dice.randint(-3, 3), now)
    side, away = parent.side.opposite, parent.side.sign
    legs = [
        (OrderType.TAKE_PROFIT_MARKET, parent.price + away * dice.randint(1, 4)),
        (OrderType.STOP_MARKET, parent.price - away * dice.randint(1, 4)),
    ]
    chosen = legs if dice.random() < 0.7 else [dice.choice(legs)]
    return [
        conditional(parent.user, side, 0, max(1, trigger), at=now, order_type=kind, parent_after=len(chosen) - place)
        for place, (kind, trigger) in enumerate(chosen)
    ] + [parent]


def _cancel(dice: random.Random, market: Market, now: int) -> list[Command]:
    resting = [order for side in Side for order in market.book.walk(side)]
    found = dice.choice([*resting, *market.waiting.orders.values(), None])
    if found is None or dice.random() < 0.1:
        return [cancel(dice.choice(TRADERS), dice.randint(1, market.command_seq + 1), now)]
    return [cancel(found.user, found.order_seq, now)]


def _amend(dice: random.Random, market: Market, now: int) -> list[Command]:
    """Of an order that waits, rests, or has just done one or the other; sometimes as one that does not do what it does."""
    resting = [order for side in Side for order in market.book.walk(side)]
    found = dice.choice([*resting, *market.waiting.orders.values(), *market.waiting.orders.values(), None])
    if found is None:
        return [amend(dice.choice(TRADERS), dice.randint(1, market.command_seq + 1), 1, at=now)]
    waits = isinstance(found, ConditionalOrder) if dice.random() < 0.95 else dice.random() < 0.5
    closes, has_limit = isinstance(found, ConditionalOrder) and found.closes_position, found.price > 0
    trigger = dice.choice((0, max(1, market.mark + dice.randint(-5, 5)))) if not _trails(found) else 0
    return [
        amend(
            found.user,
            found.order_seq,
            0 if closes else dice.randint(-4, 4),
            max(1, market.mark + dice.randint(-4, 4)) if has_limit and dice.random() < 0.5 else None,
            at=now,
            trigger=Ticks(trigger) if waits else msgspec.UNSET,
            margin_price=0 if waits else market.mark,
        )
    ]


def _trails(order: Order | ConditionalOrder) -> bool:
    return isinstance(order, ConditionalOrder) and order.is_trailing


def _activation(dice: random.Random, market: Market, now: int) -> list[Command]:
    triggered = [
        each for each in market.waiting.orders.values() if each.stage is Stage.TRIGGERED and not each.reduce_only
    ]
    if not triggered or dice.random() < 0.1:
        return [activation(dice.choice(TRADERS), dice.randint(1, market.command_seq + 1), market.mark, now)]
    order = dice.choice(triggered)
    return [activation(order.user, order.order_seq, order.price or market.mark + order.side.sign, now)]


def _forced(dice: random.Random, market: Market, now: int) -> list[Command]:
    user = dice.choice(TRADERS)
    position = market.positions.get(user)
    match dice.randint(0, 3):
        case 0:
            return [
                status(dice.choice([MarketStatus.ACTIVE] * 3 + [MarketStatus.CANCEL_ONLY, MarketStatus.HALTED]), now)
            ]
        case 1 if position:
            side = Side.SELL if position.lots > 0 else Side.BUY
            return [liquidation(user, side, dice.randint(1, 9), max(1, market.mark - 5 * side.sign))]
        case 2 if position:
            return [take_over(user, position.lots, position.cost // USDC, position.cost // USDC, dice.randint(0, 3))]
        case 3 if position:
            others = [(other, dice.randint(1, 5)) for other in TRADERS if other != user]
            return [deleveraging(user, position.lots, position.cost // USDC, position.cost // USDC, *others)]
        case _:
            return [status(MarketStatus.ACTIVE, now)]


STEPS = (_quote, _take, _waiting, _bracket, _move, _cancel, _amend, _activation, _tick, _forced)
WEIGHTS = (20, 16, 22, 7, 12, 6, 10, 8, 8, 2)
