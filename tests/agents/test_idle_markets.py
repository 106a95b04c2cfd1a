"""A market that is ticked only while time can change it lives through the same as one that is ticked every second."""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.clock import needs_time
from exchange.engine.engine import apply, fail
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import Market, empty_market
from schemas.commands import AdvanceClock, CancelOrder, Command, PlaceOrder, ReportPrices, SetIndex, SourcePrice
from schemas.events import FundingSettled, PremiumSampled
from schemas.market import RULES_THIRD, MarketStatus
from schemas.orders import Side, TimeInForce
from schemas.units import SECOND_US, Nanos, Timestamp
from schemas.wire import encode
from store.markets.due_orders import TickingMarket
from tests.exchange.builders import barrier, cancel, index, listed, order, rules, small_spec, sources, status

EIGHT = 8 * 3_600 * SECOND_US
BEGINS_AT = EIGHT - 150 * SECOND_US
"""Two and a half minutes before a funding."""
TICK_AFTER_US = 50_000
"""A tick is sent so long after its second has begun."""
BETWEEN_US = 550_000
"""A tick within a second comes so long after that."""
REFERENCE = Nanos(100 * 10**9)
Decide = Callable[[TickingMarket, int, int], bool]
"""Whether to tick a market in this second, when the last tick was in that one."""
Act = Callable[[int, list[int]], list[Command]]
"""The commands at a time, after orders were placed by the commands of these numbers."""


class Step(NamedTuple):
    """What happens in the market, so long after the step before."""

    after_us: int
    act: Act


def quotes() -> st.SearchStrategy[Act]:
    """Both sides, the impact quantity or less, around a price that the basis follows; some expire soon."""

    def build(bid: int, spread: int, lots: int, expires_in_s: int) -> Act:
        def act(at: int, _: list[int]) -> list[Command]:
            ends: dict[str, Any] = {}
            if expires_in_s:
                ends = {"time_in_force": TimeInForce.GTD, "expires_at": Timestamp(at + expires_in_s * SECOND_US)}
            return [
                order(1, Side.BUY, lots, bid, at=at, **ends),
                order(2, Side.SELL, lots, bid + spread, at=at, **ends),
            ]

        return act

    lots = st.sampled_from((10, 60, 60, 60))  # 50 lots are the impact quantity
    return st.builds(build, st.integers(97, 101), st.integers(1, 3), lots, st.sampled_from((0, 0, 7)))


def takers() -> st.SearchStrategy[Act]:
    """An order of a third user: it opens a position or rests, and far from the mark the band does not let it."""
    prices = st.one_of(st.integers(97, 103), st.integers(88, 92), st.integers(108, 112))
    return st.builds(lambda side, price: lambda at, _: [order(3, side, 5, price, at=at)], st.sampled_from(Side), prices)


def clearances() -> st.SearchStrategy[Act]:
    """The two users of the quotes cancel all they have placed: most books are empty then."""
    return st.just(
        lambda at, placed: [cancel(user, seq, at) for seq in placed for user in (1, 2)] or [cancel(1, 1, at)]
    )


def reports() -> st.SearchStrategy[Act]:
    """What two sources see, the second one up to 4 s ago."""

    def build(first: int, second: int, age_us: int) -> Act:
        def act(at: int, _: list[int]) -> list[Command]:
            prices = (("x", first, at), ("y", second, at - age_us))
            seen = tuple(SourcePrice(name, Nanos(nanos), Timestamp(when)) for name, nanos, when in prices)
            return [ReportPrices(Timestamp(at), seen)]

        return act

    nanos = st.integers(99_000_000_000, 101_000_000_000)
    return st.builds(build, nanos, nanos, st.sampled_from((0, 700_000, 4_000_000)))


def index_sources(names: tuple[str, ...]) -> st.SearchStrategy[Act]:
    """What the index is made of from now on; each price lasts 5 s."""
    return st.builds(
        lambda names, quorum: lambda at, _: [sources(*names, quorum=min(quorum, len(names)), max_age_ms=5_000, at=at)],
        st.sampled_from(names),
        st.integers(1, 2),
    )


def operations() -> st.SearchStrategy[Act]:
    """What feeds and operators do."""
    return st.one_of(
        reports(),
        index_sources(("", "x", "xy")),
        st.builds(lambda usdc: lambda at, _: [index(usdc, at)], st.integers(98, 102)),
        st.builds(
            lambda value: lambda at, _: [status(value, at)],
            st.sampled_from((MarketStatus.ACTIVE, MarketStatus.CANCEL_ONLY, MarketStatus.HALTED)),
        ),
    )


def steps(gaps: st.SearchStrategy[int], acts: st.SearchStrategy[Act]) -> st.SearchStrategy[Step]:
    """One thing that happens."""
    return st.builds(Step, gaps, acts)


def anything() -> st.SearchStrategy[list[Step]]:
    """One of all acts, at once or after a long time."""
    gaps = st.one_of(st.integers(0, 400_000), st.integers(0, 9_000_000), st.integers(20_000_000, 90_000_000))
    acts = st.one_of(quotes(), quotes(), takers(), clearances(), clearances(), operations())
    return steps(gaps, acts).map(lambda step: [step])


def drifts() -> st.SearchStrategy[list[Step]]:
    """After the funding, quotes pull the basis up for a moment: the mark is a tick above the index, and drifts back in minutes.

    Both are needed for that without quotes: the basis, and a funding that is still to come, of 0.01 at most. So the index is that
    near to the next tick. It is looked at again and again meanwhile: a barrier changes nothing.
    """
    soon, moment = st.integers(0, 2_000_000), st.integers(1_000_000, 4_000_000)
    constant = st.builds(
        lambda nanos: lambda at, _: [sources(quorum=0, at=at), SetIndex(Timestamp(at), Nanos(100_490_000_000 + nanos))],
        st.integers(500_000, 9_500_000),
    )
    above = st.just(lambda at, _: [order(1, Side.BUY, 60, 103, at=at), order(2, Side.SELL, 60, 104, at=at)])
    look = steps(st.integers(2_000_000, 25_000_000), st.just(lambda at, _: [barrier("b", at)]))
    parts = (
        steps(st.integers(0, 200_000_000), clearances()),
        steps(soon, constant),
        steps(soon, above),
        steps(moment, clearances()),
    )
    return st.builds(lambda parts, looks: [*parts, *looks], st.tuples(*parts), st.lists(look, min_size=20, max_size=20))


def silences() -> st.SearchStrategy[list[Step]]:
    """The sources of a market see something, then one or both of them nothing more, and somebody comes meanwhile."""
    soon, later = st.integers(0, 2_000_000), st.integers(1_000_000, 9_000_000)
    parts = (
        steps(soon, clearances()),
        steps(soon, index_sources(("x", "xy"))),
        steps(soon, reports()),
        steps(later, takers()),
    )
    return st.tuples(*parts).map(list)


def courses() -> st.SearchStrategy[list[Step]]:
    """Some minutes with a few commands: bursts, long times without any, and how a market comes to rest."""
    parts = st.lists(st.one_of(anything(), anything(), anything(), drifts(), silences()), min_size=2, max_size=6)
    return parts.map(lambda parts: [step for part in parts for step in part])


class Life:
    """The same commands at the same times, and a tick in each second for which `decide` says so.

    While the market is idle there is also a tick in the middle of each second for which `between` says so. In the place of each
    other tick there is a command that fails, which changes the sequences alone: so the same commands have the same numbers in
    each life, and everything can be compared to the byte.
    """

    def __init__(self, decide: Decide, between: Callable[[], bool] = bool, reference: Nanos = REFERENCE) -> None:
        self.decide = decide
        self.between = between
        self.market = empty_market("TEA-PERP")
        self.ticks = 0
        self.samples: list[bytes] = []
        self._half = 2 * (BEGINS_AT // SECOND_US) + 1
        self._ticked = BEGINS_AT // SECOND_US
        self.send(replace(listed(replace(small_spec(), reference_price=reference)), rules=RULES_THIRD))
        self.send(AdvanceClock(Timestamp(BEGINS_AT)))

    def send(self, command: Command) -> bytes:
        """Apply a command; its events as they go out."""
        events = apply(self.market, self.market.command_seq + 1, command)
        self.samples += [encode(each) for each in events if isinstance(each, PremiumSampled | FundingSettled)]
        return b"\n".join(encode(each) for each in events)

    def wait(self, until: int) -> None:
        """Let the seconds pass."""
        while True:
            second, is_between = divmod(self._half + 1, 2)
            at = second * SECOND_US + TICK_AFTER_US + is_between * BETWEEN_US
            if at > until:
                return
            self._half += 1
            known = facts(self.market, at)
            if is_between:
                is_due = self.between() and not known.moves_each_second
            else:
                is_due = self.decide(known, self._ticked, second)
            if is_due:
                self._ticked = second
                self.ticks += 1
                self.send(AdvanceClock(Timestamp(at)))
            else:
                fail(self.market, self.market.command_seq + 1, CancelOrder(Timestamp(at), 1, 1))

    def lead(self, course: list[Step]) -> Iterator[tuple[bytes, bytes]]:
        """The events of each command of the course, and the market after it."""
        at, placed = BEGINS_AT, list[int]()
        for step in course:
            at += step.after_us
            self.wait(at)
            for command in step.act(at, list(placed)):
                events = self.send(command)
                if isinstance(command, PlaceOrder):
                    placed.append(self.market.command_seq)
                yield events, dump(self.market)
        self.wait(at + 70 * SECOND_US)
        yield self.send(AdvanceClock(Timestamp(at + 71 * SECOND_US))), dump(self.market)


def facts(market: Market, now: int) -> TickingMarket:
    """What the clock reads of such a market in PostgreSQL, when everything is persisted."""
    orders = [each for side in Side for each in market.book.walk(side)]
    return TickingMarket(
        name=market.spec.market,
        command_seq=market.command_seq,
        due_at=min((each.expires_at for each in orders if each.expires_at is not None), default=None),
        rules=market.rules,
        is_in_use=bool(orders or market.positions),
        is_frozen=market.is_frozen,
        has_silent_source=any(
            not feed.observed_at or now - feed.observed_at > feed.source.max_age_ms * 1_000 for feed in market.feeds
        ),
        is_mark_at_index=market.mark == market.spec.mark_of_index(market.index),
    )


def every_second(_market: TickingMarket, _ticked: int, _second: int) -> bool:
    """The clock as it would be without idle markets."""
    return True


@settings(max_examples=60, deadline=None)
@given(courses(), st.integers(98_300_000_000, 101_700_000_000).map(Nanos), st.randoms(use_true_random=False))
def test_idle_ticks_change_nothing(course: list[Step], reference: Nanos, dice: random.Random) -> None:
    """Without them, with all and with some of them, each command has the same events and leaves the same market.

    So have the samples of each minute and the fundings; a tick may also come in the middle of a second.
    """

    def now_and_then(market: TickingMarket, ticked: int, second: int) -> bool:
        return needs_time(market, ticked, second) or dice.random() < 0.3

    lives = [
        Life(every_second, reference=reference),
        Life(needs_time, reference=reference),
        Life(now_and_then, lambda: dice.random() < 0.3, reference),
    ]
    often, seldom, sometimes = (list(life.lead(course)) for life in lives)
    assert often == seldom == sometimes
    assert lives[0].samples == lives[1].samples == lives[2].samples


def test_an_idle_market_is_ticked_once_a_minute() -> None:
    """And every second from its first order to its last; what is left of the basis then moves no mark."""
    life = Life(needs_time)
    at = BEGINS_AT + 120 * SECOND_US + 300_000
    life.wait(at)
    assert life.ticks == 2
    bid, ask = (life.market.command_seq + 1, life.market.command_seq + 2)
    life.send(order(1, Side.BUY, 60, 100, at=at))
    life.send(order(2, Side.SELL, 60, 103, at=at))
    life.wait(at + 60 * SECOND_US)
    assert life.ticks == 2 + 60
    assert life.market.basis > 0
    life.send(cancel(1, bid, at + 60 * SECOND_US))
    life.send(cancel(2, ask, at + 60 * SECOND_US))
    life.wait(at + 660 * SECOND_US)
    assert life.ticks == 62 + 10


def test_older_rules_are_ticked_every_second() -> None:
    """Under them what a second is depends on its tick."""
    idle = facts(Life(needs_time).market, BEGINS_AT)
    assert not idle.moves_each_second
    assert idle._replace(rules=RULES_THIRD - 1).moves_each_second


def test_every_second_that_passes_counts_once() -> None:
    """Whichever command is the first after it: ten ticks, one tick and one barrier leave the same basis. Rules 2 count ticks."""

    def basis(version: int, *ticked: int) -> int:
        market = empty_market("TEA-PERP")
        apply(market, 1, replace(listed(), rules=version))
        commands = [order(1, Side.BUY, 60, 99, at=1), order(2, Side.SELL, 60, 103, at=1)]
        for seq, command in enumerate([*commands, *(AdvanceClock(Timestamp(s * SECOND_US)) for s in ticked)], 2):
            apply(market, seq, command)
        return market.basis

    assert basis(3, *range(1, 11)) == basis(3, 10) == basis(3, 4, 10) > basis(3, 9)
    assert basis(2, *range(1, 11)) > basis(2, 10)
    late = empty_market("TEA-PERP")
    apply(late, 1, replace(listed(), rules=3))
    for seq, command in enumerate(
        (order(1, Side.BUY, 60, 99), order(2, Side.SELL, 60, 103), rules(3, 10 * SECOND_US)), 2
    ):
        apply(late, seq, command)
    assert late.basis == basis(3, 10)
    quotes_come_late = empty_market("TEA-PERP")
    apply(quotes_come_late, 1, replace(listed(), rules=3))
    for seq, command in enumerate(
        (order(1, Side.BUY, 60, 99, at=10 * SECOND_US), order(2, Side.SELL, 60, 103, at=10 * SECOND_US)), 2
    ):
        apply(quotes_come_late, seq, command)
    apply(quotes_come_late, 4, AdvanceClock(Timestamp(11 * SECOND_US)))
    assert quotes_come_late.basis == basis(3, 1)
