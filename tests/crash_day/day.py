"""Playing a scenario: prices and time by commands, orders by the submission, the liquidator look by look.

What makes two days the same: one look is one transaction, so that nothing it orders is matched before it has seen
everybody; every look waits until all that was ordered before is persisted; and time moves only when this file moves it.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agents.liquidator import Liquidator
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock, Command, ReportPrice, SetPriceSources
from schemas.ids import public_id_of_order
from schemas.market import MarketSpec, PriceSource
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.rest.transfers import DepositRequest
from schemas.units import PPM, Timestamp
from store.command_log.commands import append_command
from store.markets.registry import load_registry
from store.money.deposits import deposit
from store.queries.formatting import price_text, quantity_text
from store.session.connect import Connection
from store.submission import BATCH_MAX, Submission, SubmitCancel, SubmitOrder
from store.users.users import create_user
from tests.crash_day.scenario import Member, Scenario, members_of
from tests.venue import Venue, set_fund

LOOK_US = 20_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
LOOKS_MAX = 600
SOURCE_MAX_AGE_MS = 600_000
ORDERED_PPM = 970_000
"""Of what margin allows; the rest is for fees."""

# A step that filled nothing is no movement: it will be tried again forever.
_MOVED = """
SELECT (SELECT count(*) FROM fills), (SELECT count(*) FROM ledger), (SELECT count(*) FROM liquidations),
  (SELECT count(*) FROM liquidations WHERE ended_at IS NULL),
  (SELECT count(*) FROM liquidation_steps WHERE action NOT IN ('LIQUIDATION', 'FUND_SALE')),
  (SELECT count(*) FROM orders WHERE is_live)
"""
_LIVE = "SELECT order_id, market_id, user_id FROM orders WHERE is_live AND user_id = ANY($1::int8[]) ORDER BY order_id"


class Day:
    """One playing of a scenario in listed markets; `listed` says under which name each market of the file is."""

    def __init__(
        self, scenario: Scenario, session: Connection, submission: Submission, venue: Venue, listed: Mapping[str, str]
    ) -> None:
        self.scenario = scenario
        self.session = session
        self.venue = venue
        self.chance = random.Random(scenario.seed)  # noqa: S311 - the same day every time
        self.members = members_of(scenario, self.chance)
        self.now = scenario.began_at
        self.refused: Counter[str] = Counter()
        self.orders = 0
        self.looks = 0
        self.fund_low = int(scenario.fund) * 10**6
        self._submission = submission
        self._listed = dict(listed)
        self._liquidator = Liquidator(StreamSettings("", "nowhere", datadir=Path()))
        self._specs: dict[str, MarketSpec] = {}
        self._names: dict[int, str] = {}

    async def play(self) -> None:
        """From the first deposit to the moment when nothing moves any more."""
        await self._open()
        for step in range(len(self.scenario.path)):
            self.now = Timestamp(self.scenario.began_at + step * self.scenario.minutes_per_step * MINUTE_US)
            await self._report_prices(step)
            await self._enter(step)
            await self._quote()
            await self._make_noise()
            await self._liquidate()
            await self._pass_time(step)
        await self._liquidate()

    async def _open(self) -> None:
        """Markets with their sources, everyone's money, and a fund that is too small."""
        registry = await load_registry(self.session)
        self._specs = {key: registry.by_name[name].spec for key, name in self._listed.items()}
        self._names = {known.market_id: name for name, known in registry.by_name.items()}
        for key, plan in self.scenario.markets.items():
            sources = tuple(PriceSource(name, 1, SOURCE_MAX_AGE_MS) for name in plan.sources)
            await self._append(key, SetPriceSources(self.now, sources, plan.quorum))
        for number, member in enumerate(self.members):
            user = await create_user(self.session, f"{number}.{member.group}@example.com", "x", self.now)
            assert user is not None
            await deposit(self.session, user, DepositRequest("USDC", member.deposit), None, self.now)
            member.user = user
        await set_fund(self.session, int(self.scenario.fund) * 10**6, self.now)

    async def _report_prices(self, step: int) -> None:
        """The clock first, as it would: a funding that ends now is paid at the mark everybody could see."""
        for key in self._listed:
            await self._append(key, AdvanceClock(self.now))
            await self._report(key, step)
        await self.venue.settle()

    async def _report(self, key: str, step: int) -> None:
        index = self.scenario.index_at(key, step)
        for source in self.scenario.markets[key].sources:
            await self._append(key, ReportPrice(self.now, source, index, self.now))

    async def _pass_time(self, step: int) -> None:
        """A tick a minute to the next step, at the last price."""
        end = self.scenario.began_at + (step + 1) * self.scenario.minutes_per_step * MINUTE_US
        minute = (self.now // MINUTE_US + 1) * MINUTE_US
        while minute < end:
            self.now = Timestamp(minute)
            for key in self._listed:
                await self._append(key, AdvanceClock(self.now))
                if (minute // MINUTE_US) % self.scenario.report_every_minutes == 0:
                    await self._report(key, step)
            minute += MINUTE_US
        await self.venue.settle()

    async def _enter(self, step: int) -> None:
        """The members who enter now: the sellers' orders rest, the buyers' match them, the rest is cancelled."""
        entering = [member for member in self.members if member.enters_at_step == step]
        if not entering:
            return
        for side in (Side.SELL, Side.BUY):
            await self._place([order for member in entering for order in await self._opening(member, side)])
            await self.venue.settle()
        await self._cancel_all(member.user for member in entering)

    async def _opening(self, member: Member, side: Side) -> list[SubmitOrder]:
        marks = await self._marks()
        orders = []
        for key, its_side in member.positions.items():
            spec, mark = self._specs[key], marks[key]
            money = int(member.deposit) * 10**6 // len(member.positions)
            lots = money * member.leverage * ORDERED_PPM // PPM // spec.notional(mark, 1)
            if its_side is side and lots:
                orders.append(self._order(member, key, side, lots, mark, leverage=member.leverage))
        return orders

    async def _quote(self) -> None:
        """The makers cancel their old quotes and show thin new ones around the mark."""
        makers = [member for member in self.members if member.group == "makers"]
        await self._cancel_all(maker.user for maker in makers)
        marks, quotes = await self._marks(), self.scenario.quotes
        orders = []
        for maker in makers:
            for key, mark in marks.items():
                spec = self._specs[key]
                lots = int(quotes.notional) * 10**6 // spec.notional(mark, 1)
                for level in range(1, quotes.levels + 1):
                    away = mark * quotes.spacing_ppm * level // PPM + self.chance.randint(0, 20)
                    orders += [self._order(maker, key, side, lots, mark - side.sign * away) for side in Side]
        await self._place(orders)
        await self.venue.settle()

    async def _make_noise(self) -> None:
        """Some of the others trade, rest, reduce and are refused, liquidated or not."""
        marks = await self._marks()
        others = [member for member in self.members if member.group != "makers"]
        await self._place([self._noise(self.chance.choice(others), marks) for _ in range(self._noise_size)])
        await self.venue.settle()

    @property
    def _noise_size(self) -> int:
        return self.scenario.noise.orders_per_step

    def _noise(self, member: Member, marks: Mapping[str, int]) -> SubmitOrder:
        chance = self.chance
        key, side = chance.choice(list(self._listed)), chance.choice(list(Side))
        spec, mark = self._specs[key], marks[key]
        lots = max(1, chance.randint(20, 400) * 10**6 // spec.notional(mark, 1))
        kind = chance.random()
        if kind < 0.2:
            return self._order(member, key, side, lots, None)
        if kind < 0.5:
            away = mark * chance.randint(0, 40_000) // PPM
            return self._order(member, key, side, lots, mark - side.sign * away, reduce_only=True)
        away = mark * chance.randint(-4_000, 60_000) // PPM
        return self._order(member, key, side, lots, mark - side.sign * away, post_only=kind > 0.8)

    async def _liquidate(self) -> None:
        """Look until nothing moves for two seconds: then everything rests."""
        quiet, before = 0, await self._moved()
        for _ in range(LOOKS_MAX):
            self.now = Timestamp(self.now + (SECOND_US if quiet else LOOK_US))
            async with self.session.transaction():
                await self._liquidator.look(self.session, self.now)
            await self.venue.settle()
            self.looks += 1
            self.fund_low = min(self.fund_low, await self.fund())
            after = await self._moved()
            quiet, before = (quiet + 1 if after == before else 0), after
            if quiet == 3:
                return
        raise AssertionError("the liquidator never comes to rest")

    async def fund(self) -> int:
        """Micros of the insurance fund's wallet."""
        return int(await self.session.fetchval("SELECT sum(amount) FROM ledger WHERE account = -3"))

    async def markets(self) -> dict[int, str]:
        """The markets of the day by number, in the order of the file."""
        rows = await self.session.fetch("SELECT name, market_id FROM markets")
        numbers = {row["name"]: row["market_id"] for row in rows}
        return {numbers[name]: name for name in self._listed.values()}

    async def _moved(self) -> tuple[int, ...]:
        row = await self.session.fetchrow(_MOVED)
        assert row is not None
        return tuple(row)

    async def _marks(self) -> dict[str, int]:
        rows = await self.session.fetch("SELECT name, mark FROM markets")
        marks = {row["name"]: row["mark"] for row in rows}
        return {key: marks[name] for key, name in self._listed.items()}

    async def _append(self, key: str, command: Command) -> None:
        await append_command(self.session, self._listed[key], command)

    async def _cancel_all(self, users: Iterable[int]) -> None:
        rows = await self.session.fetch(_LIVE, sorted(users))
        cancels = [
            SubmitCancel(row["user_id"], public_id_of_order(self._names[row["market_id"]], row["order_id"]))
            for row in rows
        ]
        await self._submit(cancels)
        await self.venue.settle()

    async def _place(self, orders: Sequence[SubmitOrder]) -> None:
        self.orders += len(orders)
        await self._submit(orders)

    async def _submit(self, requests: Sequence[SubmitOrder | SubmitCancel]) -> None:
        for first in range(0, len(requests), BATCH_MAX):
            answers = await self._submission.run(requests[first : first + BATCH_MAX], self.now, {})
            self.refused.update(str(answer.code) for answer in answers if isinstance(answer, Refused))

    def _order(
        self, member: Member, key: str, side: Side, lots: int, price: int | None, **options: object
    ) -> SubmitOrder:
        spec = self._specs[key]
        request = OrderRequest(
            market_id=self._listed[key],
            side=side,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=quantity_text(spec, lots),
            price=None if price is None else price_text(spec, price),
            time_in_force=TimeInForce.GTC,
            **options,  # type: ignore[arg-type]
        )
        return SubmitOrder(member.user, request)
