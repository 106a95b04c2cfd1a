"""An order's way through relay, matching agent and projection, on a real broker and a real database."""

from pathlib import Path

from agents.clock import Clock
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from schemas.orders import OrderType, Side, TimeInForce
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp, datetime_of
from schemas.wire import decode_event
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def test_two_orders_that_cross_become_a_fill_in_the_database(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Command, event and row: the walk of an order through every part of the stream."""
    async with stream_on(broker, database, tmp_path) as stream:
        ann, bob, *_ = stream.users
        parts = (part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))
        async with hosted(*parts):
            bid = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.5", "60000")
            hit = OrderRequest(stream.market, Side.SELL, OrderType.LIMIT, "0.3", "59000", TimeInForce.IOC)
            await stream.submit([SubmitOrder(ann, bid), SubmitOrder(bob, hit)])
            progress = await stream.drained()
        fills = await stream.session.fetch("SELECT user_id, price, quantity FROM fills ORDER BY role")
        assert {tuple(fill) for fill in fills} == {(ann, 600_000, 300), (bob, 600_000, 300)}
        assert one_hash_each(await stream.records())[progress.event_seq] == progress.event_hash


async def test_two_markets_share_a_process(broker: Broker, database: str, tmp_path: Path) -> None:
    """One app a market, several apps in one loop."""
    async with stream_on(broker, database, tmp_path) as tea, stream_on(broker, database, tmp_path) as rum:
        parts = [
            part(each.market, each.settings) for each in (tea, rum) for part in (engine_unit, projection_unit, Relay)
        ]
        async with hosted(*parts):
            await tea.trade(100)
            await rum.trade(100)
            assert (await tea.drained()).command_seq == (await rum.drained()).command_seq == 101


async def test_many_commands_share_a_record(broker: Broker, database: str, tmp_path: Path) -> None:
    """What waits goes together: no record per command, and one event record per command record."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(400)
        async with hosted(*(part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))):
            await stream.drained()
        records = await stream.records()
        assert [(record.first_command_seq, record.last_command_seq) for record in records] == [(1, 401)]


async def test_an_order_expires_when_its_time_has_come(broker: Broker, database: str, tmp_path: Path) -> None:
    """The clock ticks where a live order is due, and the engine ends it."""
    async with stream_on(broker, database, tmp_path) as stream:
        soon = datetime_of(Timestamp(BEGAN_AT + 1_000_000))  # soon for the order, long ago for the clock
        request = OrderRequest(
            stream.market, Side.BUY, OrderType.LIMIT, "0.5", "60000", TimeInForce.GTD, expires_at=soon
        )
        parts = (part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))
        async with hosted(*parts, Clock(stream.settings)):
            await stream.submit([SubmitOrder(stream.users[0], request)])
            status = "SELECT status FROM orders WHERE status = 'EXPIRED'"
            assert await eventually(lambda: stream.session.fetchval(status)) == "EXPIRED"
            await stream.drained()
        ticks = [event for record in await stream.records() for event in map(decode_event, record.events)]
        assert [type(event).__name__ for event in ticks].count("ClockAdvanced") <= 2
