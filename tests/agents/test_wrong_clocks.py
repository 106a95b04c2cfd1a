"""A writer with a wrong clock moves no market, and says so: the clock, a price feed, an API process, the liquidator, the command line.

The full size, over a whole exchange and with PostgreSQL's clock too, is tests/system/test_wrong_clocks.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio

import agents.clock
import agents.prices.feed
import agents.prices.random_walk
import agents.worker.fail_stop
from agents.clock import Clock
from agents.prices.feed import PriceFeed
from agents.prices.random_walk import RandomWalk
from agents.worker.fail_stop import EXIT_CLOCK_WRONG
from agents.worker.presence import Presence
from agents.worker.settings import StreamSettings
from api.access.tokens import Tokens
from exchange.engine.market import Market
from schemas.commands import AdvanceClock, ReportPrice, SetPriceSources, SetStatus
from schemas.market import SEED_MARKETS, MarketStatus, PriceSource
from schemas.orders import OrderStatus
from schemas.units import NANO_E18, SECOND_US, Nanos, Timestamp, datetime_of
from store.command_log.commands import append_command
from store.liquidations.writing import NewCommand, append_case_commands
from store.markets.registry import list_market
from store.session.checked_clock import CheckedClock, machine_time
from store.session.connect import Connection
from tests.agents.stream import hosted
from tests.api.exchange import SECRET, Client, Exchange
from tests.api.test_guards import user_of
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.store.stepped_clock import step_clock

HOUR_US = 3_600 * SECOND_US
MARKET = "NOW-PERP"
SOURCE = PriceSource("walk", 1, 5_000)
PRICE = Nanos(60_000 * 10**18 // NANO_E18)


class Scene(NamedTuple):
    """A market with one price source that lives now, and a user whose order there expires in half an hour."""

    exchange: Exchange
    session: Connection
    user: Client
    order: str

    @property
    def market(self) -> Market:
        """As the engine has it."""
        return self.exchange.markets[MARKET]

    async def status_of_order(self) -> str:
        """What the user sees."""
        return str((await self.user.get(f"/orders/{self.order}")).body["status"])


@pytest_asyncio.fixture(name="scene")
async def scene_of_test(database: str) -> AsyncIterator[Scene]:
    """The market is open, and has had a tick and a price this second."""
    exchange = await Exchange(database).start()
    async with session_to(database) as session:
        await step_clock(session)
        await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=MARKET), machine_time())
        await append_command(session, MARKET, SetPriceSources(machine_time(), (SOURCE,), 1))
        await _report_rightly(session)
        await exchange.run_engine()
        await exchange.services.load.poll()
        user = await exchange.user()
        soon = (datetime_of(machine_time()) + timedelta(minutes=30)).isoformat()
        reply = await user.order(marketId=MARKET, price="59000", timeInForce="GTD", expiresAt=soon)
        assert reply.status == 202, reply.body
        await exchange.run_engine()
        yield Scene(exchange, session, user, reply.body["orderId"])
    await exchange.stop()


async def _report_rightly(session: Connection) -> None:
    for command in (AdvanceClock(machine_time()), ReportPrice(machine_time(), SOURCE.name, PRICE, machine_time())):
        await append_command(session, MARKET, command)


def _shifted(monkeypatch: pytest.MonkeyPatch, off_us: int, *modules: Any) -> None:
    """The wall clock of these modules is off; the other one is nobody's to set."""
    for module in modules:
        monkeypatch.setattr(module, "machine_time", lambda: _machine_time_off_by(off_us))


async def _by_the_clock(scene: Scene, off_us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _shifted(monkeypatch, off_us, agents.clock)
    before = await _commands(scene)
    async with hosted(Clock(StreamSettings(scene.exchange.dsn, "", datadir=Path()))):
        await eventually(lambda: _has_more(scene, before))


async def _by_a_feed(scene: Scene, off_us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _shifted(monkeypatch, off_us, agents.prices.feed, agents.prices.random_walk)
    before = await _commands(scene)
    async with hosted(PriceFeed(scene.exchange.dsn, [RandomWalk(SOURCE.name, MARKET, PRICE)])):
        await eventually(lambda: _has_more(scene, before))


async def _by_the_api(scene: Scene, off_us: int, _: pytest.MonkeyPatch) -> None:
    """A new order and a cancel, taken by a process that has not noticed yet."""
    queue = scene.exchange.services.submissions
    now = queue._now
    queue._now = lambda: Timestamp(machine_time() + off_us)
    try:
        reply = await scene.user.order(marketId=MARKET, price="58000")
        assert reply.status == 202, reply.body
        assert (await scene.user.cancel(reply.body["orderId"])).status == 202
    finally:
        queue._now = now
    await scene.exchange.run_engine()
    ended = (await scene.user.get(f"/orders/{reply.body['orderId']}")).body
    assert (ended["status"], ended["reason"]) == ("CANCELLED", "USER")
    assert abs(datetime.fromisoformat(ended["createdAt"]) - datetime_of(machine_time())) < timedelta(minutes=1)


async def _by_the_liquidator(scene: Scene, off_us: int, _: pytest.MonkeyPatch) -> None:
    at = Timestamp(machine_time() + off_us)
    market_id = await scene.session.fetchval("SELECT market_id FROM markets WHERE name = $1", MARKET)
    await append_case_commands(scene.session, [NewCommand(market_id, SetStatus(at, MarketStatus.ACTIVE))], at)


async def _by_an_operator(scene: Scene, off_us: int, _: pytest.MonkeyPatch) -> None:
    await append_command(scene.session, MARKET, SetStatus(Timestamp(machine_time() + off_us), MarketStatus.ACTIVE))


Writer = Callable[[Scene, int, pytest.MonkeyPatch], Awaitable[None]]


@pytest.mark.parametrize("off_us", [HOUR_US, -HOUR_US], ids=["ahead", "behind"])
@pytest.mark.parametrize("write", [_by_the_clock, _by_a_feed, _by_the_api, _by_the_liquidator, _by_an_operator])
async def test_a_wrong_clock_moves_no_market(
    scene: Scene, write: Writer, off_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands are applied, none is lost; nothing closes, expires or settles, and right prices count at once again."""
    funding_at, listed = scene.market.funding.ends_at, scene.market.clock
    with monkeypatch.context() as patch:
        await write(scene, off_us, patch)
    await scene.exchange.run_engine()
    assert listed <= scene.market.clock <= machine_time()
    assert scene.market.funding.ends_at in {funding_at, funding_at + scene.market.spec.funding_interval_us}
    assert await scene.status_of_order() == OrderStatus.OPEN
    assert scene.market.status is MarketStatus.ACTIVE
    ignored = scene.market.feeds[0].observed_at
    await _report_rightly(scene.session)
    await scene.exchange.run_engine()
    assert scene.market.feeds[0].observed_at > ignored
    assert scene.market.status is MarketStatus.ACTIVE
    assert (await scene.user.order(marketId=MARKET, price="58000")).status == 202


@pytest.mark.parametrize("off_us", [HOUR_US, -HOUR_US], ids=["ahead", "behind"])
async def test_an_api_process_with_a_wrong_clock_is_not_ready(scene: Scene, off_us: int) -> None:
    """/readyz and /healthz say why; orders are taken all the same, and expire when their users meant."""
    clock = scene.exchange.services.clock
    assert (await scene.user.get("/readyz")).status == 200
    await step_clock(scene.session, timedelta(microseconds=-off_us))
    await scene.exchange.services.database.run(clock.check)
    ready, health = await scene.user.get("/readyz"), await scene.user.get("/healthz")
    direction = "ahead of" if off_us > 0 else "behind"
    assert (ready.status, ready.body["status"]) == (
        503,
        f"the clock of this machine is 3600.0 s {direction} PostgreSQL's",
    )
    assert [part["isWell"] for part in health.body["parts"] if part["name"] == "clock"] == [False]
    await step_clock(scene.session)
    await scene.exchange.services.database.run(clock.check)
    assert (await scene.user.get("/readyz")).status == 200


async def test_tokens_are_valid_on_a_process_whose_clock_is_wrong(scene: Scene) -> None:
    """Nobody is logged out, and what it issues is valid elsewhere."""
    services = scene.exchange.services
    for off_us in (HOUR_US, -HOUR_US):
        clock = CheckedClock(partial(_machine_time_off_by, off_us))
        await services.database.run(clock.check)
        wrong = Tokens(SECRET, clock.now, latest=clock.latest)
        assert user_of(wrong, str(scene.user.token)) == scene.user.user
        assert user_of(services.tokens, wrong.issue(7)) == 7


def _machine_time_off_by(off_us: int) -> Timestamp:
    return Timestamp(machine_time() + off_us)


class _Ended(BaseException):
    """The process would have ended here."""


async def test_a_process_that_writes_times_stops_loudly(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With an exit code of its own, and a line that names the cause and the offset; any other process says so and goes on."""
    codes: list[int] = []

    def end(code: int = 0) -> None:
        codes.append(code)
        raise _Ended

    monkeypatch.setattr(agents.worker.fail_stop, "end_at_once", end)
    async with session_to(database) as session:
        await step_clock(session, timedelta(minutes=-10))
        with caplog.at_level(logging.CRITICAL):
            relay = Presence("relay", database)
            await relay.start()
            await asyncio.wait_for(relay.is_shown.wait(), 10)
            await relay.stop()
        assert codes == []
        assert "the clock of this machine is 600.0 s ahead of PostgreSQL's" in caplog.text
        clock = Presence("clock", database, needs_clock=True)
        await clock.start()
        with pytest.raises(_Ended):
            await asyncio.wait_for(clock.wait(), 10)
        assert codes == [EXIT_CLOCK_WRONG]
        assert not clock.is_shown.is_set()
        await step_clock(session)
        again = Presence("clock", database, needs_clock=True)
        await again.start()
        await asyncio.wait_for(again.is_shown.wait(), 10)
        await again.stop()
    assert codes == [EXIT_CLOCK_WRONG]


async def _commands(scene: Scene) -> int:
    count: int = await scene.session.fetchval(
        "SELECT command_seq FROM counters JOIN markets USING (market_id) WHERE name = $1", MARKET
    )
    return count


async def _has_more(scene: Scene, than: int) -> bool:
    return await _commands(scene) > than
