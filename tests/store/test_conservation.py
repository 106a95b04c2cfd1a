"""Conservation at size: random trading in three markets, with funding and liquidations in between, and the books balance.

Orders go through the real submission, forced actions come from the real liquidator, events through the real projection;
only the broker is left out.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest

from agents.liquidator import Liquidator
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock, SetIndex
from schemas.ids import public_id_of_order
from schemas.market import SEED_MARKETS, MarketSpec
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.rest.transfers import DepositRequest, WithdrawalRequest
from schemas.units import Nanos, Timestamp
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from store.command_log.commands import append_command
from store.markets.registry import list_market, load_registry
from store.money.deposits import deposit
from store.money.withdrawals import withdraw
from store.queries.formatting import price_text, quantity_text
from store.session.connect import Connection, connect_writer
from store.submission import BATCH_MAX, Submission, SubmitCancel, SubmitOrder
from store.users.users import create_user
from tests.venue import DirectVenue, direct_venue, set_fund

BEGAN_AT = Timestamp(1_800_014_400_000_000)
MINUTE_US = 60_000_000
MARKETS = ("ANT-PERP", "BEE-PERP", "CAT-PERP")
USERS = 200
FUND = 50 * 10**6
FULL = [pytest.mark.chaos, pytest.mark.timeout(3_600)]
_COUNTS = """
SELECT (SELECT count(*) / 2 FROM fills) AS fills,
  (SELECT count(*) FROM orders) AS orders,
  (SELECT count(*) FROM fundings WHERE rate <> 0) AS fundings,
  (SELECT count(*) FROM funding_payments) AS payments,
  (SELECT count(*) FROM liquidations WHERE kind = 'LIQUIDATION') AS liquidations,
  (SELECT count(*) FROM ledger) AS entries
"""
_LIVE = "SELECT order_id, user_id, market_id FROM orders WHERE is_live ORDER BY order_id LIMIT 2000"


class Crowd:
    """Two hundred accounts that trade at random; `fills` are counted in the database."""

    def __init__(self, session: Connection, submission: Submission, venue: DirectVenue, seed: int) -> None:
        self.session, self.submission, self.venue = session, submission, venue
        self.dice = random.Random(seed)  # noqa: S311 - the same trading on every run
        self.now = BEGAN_AT
        self.users: list[int] = []
        self.specs: dict[str, MarketSpec] = {}
        self.index: dict[str, int] = {}
        self.answers: Counter[str] = Counter()
        self._liquidator = Liquidator(StreamSettings("", "nowhere", datadir=Path()))

    async def begin(self) -> None:
        """Register and pay in."""
        registry = await load_registry(self.session)
        self.specs = {name: registry.by_name[name].spec for name in MARKETS}
        self.index = {name: spec.reference_price for name, spec in self.specs.items()}
        for number in range(USERS):
            user = await create_user(self.session, f"{number}@crowd.example", "x", self.now)
            assert user is not None
            amount = str(self.dice.choice((200, 400, 1_000, 50_000)))
            await deposit(self.session, user, DepositRequest("USDC", amount), None, self.now)
            self.users.append(user)
        await set_fund(self.session, FUND, self.now)

    async def round(self) -> None:
        """Half an hour: prices move, money comes and goes, all trade, the liquidator looks a few times."""
        for _ in range(30):
            self.now = Timestamp((self.now // MINUTE_US + 1) * MINUTE_US)
            for name in MARKETS:
                await append_command(self.session, name, AdvanceClock(self.now))
        await self._move_prices()
        await self.venue.settle()
        await self._move_money()
        for _ in range(2):
            await self._trade()
            await self.venue.settle()
        await self._cancel_some()
        for _ in range(5):
            self.now = Timestamp(self.now + 200_000)
            await self._liquidator.look(self.session, self.now)
            await self.venue.settle()

    async def _move_prices(self) -> None:
        for name in MARKETS:
            move = self.dice.choice((-45_000, -20_000, -9_000, -2_000, 0, 2_000, 10_000, 21_000, 44_000))
            reference = self.specs[name].reference_price
            moved = self.index[name] * (1_000_000 + move) // 1_000_000
            self.index[name] = max(reference // 2, min(2 * reference, moved))
            await append_command(self.session, name, SetIndex(self.now, Nanos(self.index[name])))

    async def _move_money(self) -> None:
        """Some deposit, some withdraw what they may."""
        for user in self.dice.sample(self.users, 6):
            amount = str(self.dice.randint(1, 900))
            await deposit(self.session, user, DepositRequest("USDC", amount), None, self.now)
        for user in self.dice.sample(self.users, 4):
            answer = await withdraw(
                self.session, user, WithdrawalRequest("USDC", str(self.dice.randint(1, 500))), None, self.now
            )
            self.answers[f"withdrawal {answer.code if isinstance(answer, Refused) else 'taken'}"] += 1

    async def _trade(self) -> None:
        marks = {row["name"]: row["mark"] for row in await self.session.fetch("SELECT name, mark FROM markets")}
        orders = [self._order(self.dice.choice(MARKETS), marks) for _ in range(BATCH_MAX)]
        for answer in await self.submission.run(orders, self.now, {}):
            self.answers[str(answer.code) if isinstance(answer, Refused) else "taken"] += 1

    def _order(self, name: str, marks: dict[str, int]) -> SubmitOrder:
        dice, spec, mark = self.dice, self.specs[name], marks[name]
        side = dice.choice(list(Side))
        kind = dice.random()
        away = mark * dice.randint(-3_000, 3_000) // 1_000_000
        lots = max(1, dice.randint(10, 3_000) * 10**6 // spec.notional(mark, 1))
        if dice.random() < 0.02:
            lots *= 40
        request = OrderRequest(
            market_id=name,
            side=side,
            type=OrderType.MARKET if kind < 0.25 else OrderType.LIMIT,
            quantity=quantity_text(spec, lots),
            price=None if kind < 0.25 else price_text(spec, mark + away),
            time_in_force=TimeInForce.IOC if kind > 0.85 else TimeInForce.GTC,
            reduce_only=dice.random() < 0.1,
            post_only=0.25 < kind < 0.3,
            leverage=dice.choice((None, None, None, 5, 20)),
        )
        return SubmitOrder(dice.choice(self.users), request)

    async def _cancel_some(self) -> None:
        """Most of the oldest resting orders go, so that the books stay small."""
        names = {known.market_id: name for name, known in (await load_registry(self.session)).by_name.items()}
        rows = await self.session.fetch(_LIVE)
        going = [row for row in rows if self.dice.random() < 0.6][:BATCH_MAX]
        cancels = [
            SubmitCancel(row["user_id"], public_id_of_order(names[row["market_id"]], row["order_id"])) for row in going
        ]
        if cancels:
            await self.submission.run(cancels, self.now, {})
            await self.venue.settle()


@asynccontextmanager
async def crowd_on(dsn: str, seed: int) -> AsyncIterator[Crowd]:
    """Three markets of their own rules, and a fund that has to be careful."""
    session: Connection = await asyncpg.connect(dsn)
    prices = (60_000, 3_000, 150)
    for name, price, hours in zip(MARKETS, prices, (1, 2, 8), strict=True):
        model = SEED_MARKETS[0 if price > 10_000 else 1]
        changes = {"reference_price": Nanos(price * 10**9), "funding_interval_hours": hours}
        await list_market(session, msgspec.structs.replace(model, market=name, **changes), BEGAN_AT)
    submission = Submission(lambda: connect_writer(dsn, "submission"), await load_registry(session))
    try:
        async with direct_venue(dsn, MARKETS) as venue:
            crowd = Crowd(session, submission, venue, seed)
            await crowd.begin()
            yield crowd
    finally:
        await submission.close()
        await session.close()


@pytest.mark.parametrize("fills", [3_000, pytest.param(100_000, marks=FULL)])
async def test_the_books_balance_after_random_fills(
    database: str, fills: int, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    """200 accounts, 3 markets, funding and liquidations in between: audit and deep audit find nothing."""
    begun_s = time.process_time()
    async with crowd_on(database, seed=13) as crowd:
        rounds, counts = 0, await _counts(crowd.session)
        while counts["fills"] < fills:
            await crowd.round()
            rounds, counts = rounds + 1, await _counts(crowd.session)
        traded_s = time.process_time() - begun_s
        assert await audit(crowd.session) == []
        assert await deep_audit(crowd.session) == []
        assert counts["fundings"] > 3
        assert counts["liquidations"] > 10
        causes = await crowd.session.fetch(
            "SELECT cause, count(*) / 2 AS fills FROM fills GROUP BY cause ORDER BY cause"
        )
        totals = counts | {f"fills by {row['cause']}": row["fills"] for row in causes} | crowd.answers
        totals |= {"rounds": rounds, "cpu of this process, s": round(traded_s, 1)}
        for what, value in totals.items():
            record_property(what, value)
        with capsys.disabled():
            sys.stdout.write("\n" + "".join(f"  {what}: {value}\n" for what, value in totals.items()))


async def _counts(session: Connection) -> dict[str, int]:
    row = await session.fetchrow(_COUNTS)
    assert row is not None
    return dict(row)
