"""The liquidator at work with relay, matching agent and projection, on a real broker and a real database."""

from pathlib import Path

from agents.auditor import Auditor
from agents.liquidator import Liquidator
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from schemas.commands import SetIndex
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.units import Nanos
from store.command_log.commands import append_command
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


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
