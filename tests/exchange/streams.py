"""Random logs, small in every dimension so that everything meets everything."""

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from schemas.commands import Command, ReportPrice
from schemas.market import RULES_FOURTH, RULES_SECOND, RULES_THIRD, MarketStatus
from schemas.orders import CountdownScope, OrderType, SelfTradePrevention, Side, TimeInForce
from tests.exchange.builders import (
    USDC,
    amend,
    barrier,
    cancel,
    cancel_all,
    countdown,
    index,
    liquidation,
    order,
    price,
    rules,
    sources,
    status,
    take_over,
    tick,
    tiers,
    together,
)

OPEN_STATUSES = (MarketStatus.ACTIVE, MarketStatus.CANCEL_ONLY, MarketStatus.HALTED)


@st.composite
def orders(draw: st.DrawFn) -> Command:
    """Any order of four users around 100, at any of twenty times."""
    at, price = draw(st.integers(0, 20)), draw(st.integers(94, 106))
    time_in_force = draw(st.sampled_from(TimeInForce))
    side = draw(st.sampled_from(Side))
    return order(
        draw(st.integers(1, 4)),
        side,
        draw(st.integers(1, 9)),
        price,
        at=at,
        order_type=draw(st.sampled_from((OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET))),
        time_in_force=time_in_force,
        post_only=draw(st.integers(0, 9)) == 0,
        reduce_only=draw(st.booleans()),
        self_trade_prevention=draw(st.sampled_from(SelfTradePrevention)),
        expires_at=at + draw(st.integers(0, 9)) if time_in_force is TimeInForce.GTD else None,
        valid_until=draw(st.none() | st.integers(0, 20)),
    )


def cancels() -> st.SearchStrategy[Command]:
    """A cancel of any order, or of several, by anyone."""
    one = st.builds(cancel, st.integers(1, 4), st.integers(2, 60), st.integers(0, 20))
    numbers = st.lists(st.integers(2, 60), min_size=1, max_size=20)
    several = st.builds(
        lambda user, orders, at: cancel_all(user, *orders, at=at), st.integers(1, 4), numbers, st.integers(0, 20)
    )
    return st.one_of(one, several, countdowns())


def countdowns() -> st.SearchStrategy[Command]:
    """A timer of someone; in a millisecond, the unit of these logs, all of it ends, in 0 it stops."""
    when = (st.integers(0, 20), st.sampled_from(CountdownScope))
    return st.builds(countdown, st.integers(1, 4), st.sampled_from((0, 1, 1, 60_000)), *when)


@st.composite
def amends(draw: st.DrawFn) -> Command:
    """An amend of any order by anyone: lots, price or both, with any mode."""
    return amend(
        draw(st.integers(1, 4)),
        draw(st.integers(2, 30)),
        draw(st.integers(-6, 6)),
        draw(st.none() | st.integers(94, 106)),
        draw(st.integers(0, 20)),
        post_only=draw(st.integers(0, 4)) == 0,
        self_trade_prevention=draw(st.sampled_from(SelfTradePrevention)),
        loss_per_lot=draw(st.sampled_from((0, 4, 30))) * USDC,
    )


def operations() -> st.SearchStrategy[Command]:
    """What operators, clocks and price feeds do, seldom enough to leave the market open most of the time."""
    return st.one_of(
        st.builds(index, st.integers(92, 108), st.integers(0, 20)),
        st.builds(tick, st.integers(0, 25)),
        st.builds(tick, st.integers(990, 1_030)),
        st.builds(tick, st.sampled_from((1_000_000, 60_000_000, 28_800_000_000, 99_000_000_000))),
        st.builds(sources, st.just("x"), st.just("y"), quorum=st.integers(1, 2), max_age_ms=st.just(100)),
        st.builds(sources, quorum=st.just(0)),
        prices(),
        st.builds(together, prices(), prices()),
        st.builds(liquidation, st.integers(1, 4), st.sampled_from(Side), st.integers(1, 9), st.integers(80, 120)),
        st.builds(
            take_over, st.integers(1, 4), st.integers(-3, 3), st.just(100), st.integers(90, 110), st.integers(0, 4)
        ),
        st.builds(barrier, st.just("b")),
        st.builds(rules, st.integers(1, RULES_FOURTH)),
        st.builds(tiers, *(st.integers(1, 9),) * 2, limit=st.integers(0, 9)),
        st.builds(status, st.sampled_from((MarketStatus.ACTIVE,) * 5 + OPEN_STATUSES)),
    )


def prices() -> st.SearchStrategy[ReportPrice]:
    """What one of two sources sees."""
    return st.builds(price, st.sampled_from("xy"), st.integers(92, 108), st.integers(0, 25))


def logs() -> st.SearchStrategy[list[Command]]:
    """A course of commands after the listing: by the first rules, by the newest from the start, or moved in its middle."""
    course = st.lists(st.one_of(orders(), orders(), orders(), cancels(), operations()), max_size=60)
    newest = st.lists(st.one_of(orders(), orders(), orders(), cancels(), amends(), operations()), max_size=60)
    first = st.sampled_from((RULES_SECOND, RULES_THIRD)).map(lambda version: rules(version, 0))
    return st.one_of(
        course,
        st.builds(lambda moved, commands: [moved, *commands], first, course),
        newest.map(lambda commands: [rules(RULES_FOURTH, 0), *commands]),
    )


def long_log(seed: int, length: int) -> list[Command]:
    """A fixed course of commands, the same for the same seed on every run."""
    return list(long_course(seed, length))


def long_course(seed: int, length: int) -> Iterator[Command]:
    """The same, one command after the other: a million of them need no room."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible log is the point
    return (_any_command(dice, number) for number in range(2, length + 2))


def _any_command(dice: random.Random, number: int) -> Command:
    at = number // 10
    kind = dice.random()
    if kind < 0.2:
        return cancel(dice.randint(1, 30), dice.randint(2, number), at)
    if kind < 0.23:
        return index(dice.randint(97, 103), at)
    if kind < 0.25:
        return tick(at)
    return _any_order(dice, at)


def _any_order(dice: random.Random, at: int) -> Command:
    side, price = dice.choice(list(Side)), dice.randint(90, 110)
    options: dict[str, Any] = {"time_in_force": dice.choice([TimeInForce.GTC] * 4 + list(TimeInForce))}
    if options["time_in_force"] is TimeInForce.GTD:
        options["expires_at"] = at + dice.randint(1, 50)
    if dice.random() < 0.2:
        options["reduce_only"] = True
    options["self_trade_prevention"] = dice.choice(list(SelfTradePrevention))
    return order(dice.randint(1, 30), side, dice.randint(1, 99), price, at=at, loss_per_lot=20 * USDC, **options)
