"""The liquidator at work with relay, matching agent and projection, on a real broker and a real database."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import agents.liquidator
from agents.auditor import Auditor
from agents.liquidator import Liquidator
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.worker.settings import StreamSettings
from schemas.commands import PassBarrier, SetIndex
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.units import SECOND_US, Nanos
from store.command_log.commands import append_command
from store.liquidations.account_scan import MarketsNow, read_markets_now
from store.session.connect import Session
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.account_builder import NOW, USDC, hold, session_to, user_with


async def test_a_mark_that_ruins_an_account_ends_with_the_fund_holding_its_position(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Long 300 at 60,000 with a million less fees, mark 56,650: no bid, so the fund takes it over; nothing is left to do."""
    async with stream_on(broker, database, tmp_path) as stream:
        ann, bob, *_ = stream.users
        parts = (part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))
        async with hosted(*parts, Liquidator(stream.settings), Auditor(stream.settings)):
            bid = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "300", "60000")
            hit = OrderRequest(stream.market, Side.SELL, OrderType.LIMIT, "300", "60000")
            await stream.submit([SubmitOrder(ann, bid), SubmitOrder(bob, hit)])
            await stream.drained()
            await append_command(stream.session, stream.market, SetIndex(BEGAN_AT, Nanos(56_650 * 10**9)))
            released = "SELECT 1 FROM liquidations WHERE kind = 'LIQUIDATION' AND ended_at IS NOT NULL"
            assert await eventually(lambda: stream.session.fetchval(released))
            await stream.drained()
            query = "SELECT action FROM liquidation_steps WHERE user_id = $1 ORDER BY liquidation_id, step"
            actions = [row["action"] for row in await stream.session.fetch(query, ann)]
            assert actions == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "TAKE_OVER", "RELEASE"]
            assert await stream.session.fetchval("SELECT lots FROM positions WHERE user_id = -3") == 300_000
            assert await stream.session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", ann) == 0
            assert await eventually(lambda: stream.session.fetchval("SELECT count(*) FROM audit_runs")) >= 1
            assert await stream.session.fetchval("SELECT sum(jsonb_array_length(findings)) FROM audit_runs") == 0
        # what is still on its way, a sale of the fund's, ends before the books are looked at
        async with hosted(*(part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))):
            await stream.drained()


@pytest_asyncio.fixture(name="session")
async def session_of_test(database: str) -> AsyncIterator[Session]:
    """A session of the test; everything is persisted."""
    async with session_to(database) as session:
        await _persist_all(session)
        yield session


async def test_a_liquidator_with_nothing_under_way_wakes_for_a_command(
    session: Session, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for its survey, which comes in an hour here."""
    looks = itertools.count(1)
    newest_look = 0

    async def counted(session: Session) -> MarketsNow:
        nonlocal newest_look
        found = await read_markets_now(session)
        newest_look = next(looks)
        return found

    monkeypatch.setattr(agents.liquidator, "read_markets_now", counted)
    monkeypatch.setattr(agents.liquidator, "SURVEY_EVERY_US", 3_600 * SECOND_US)
    user = await user_with(session, 10_000 * USDC)
    await hold(session, user, 1, lots=1_000, cost=60_000 * USDC)
    async with hosted(Liquidator(StreamSettings(database, "nowhere", datadir=Path()))):
        await eventually(lambda: newest_look >= 2)  # it listens, and has looked since
        async with session.transaction():
            await append_command(session, "BTC-PERP", SetIndex(NOW, Nanos(50_000 * 10**9)))
            await session.execute("UPDATE markets SET mark = 500000 WHERE market_id = 1")
            await _persist_all(session)
        begun = "SELECT user_id FROM liquidations WHERE kind = 'LIQUIDATION'"
        assert await eventually(lambda: session.fetchval(begun)) == user


async def test_what_is_under_way_is_looked_at_again_soon(session: Session, database: str) -> None:
    """A command that is not persisted, and a receipt that is not complete; an idle exchange is not."""
    liquidator = Liquidator(StreamSettings(database, "nowhere", datadir=Path()))
    assert not await liquidator.look(session, NOW)
    await append_command(session, "BTC-PERP", PassBarrier(NOW, "b"))
    assert await liquidator.look(session, NOW)
    await _persist_all(session)
    assert not await liquidator.look(session, NOW)
    user = await user_with(session, 0)
    await hold(session, user, 1, lots=1_000, cost=60_000 * USDC)
    await session.execute("UPDATE markets SET mark = 500000 WHERE market_id = 1")
    assert await liquidator.look(session, NOW)
    await _persist_all(session)
    assert await session.fetchval("SELECT count(*) FROM liquidation_steps WHERE done_at IS NULL")
    assert await liquidator.look(session, NOW)


async def _persist_all(session: Session) -> None:
    await session.execute(
        "UPDATE progress p SET command_seq = c.command_seq FROM counters c WHERE p.market_id = c.market_id"
    )
