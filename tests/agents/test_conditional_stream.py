"""Conditional orders through every part of the stream, on a real broker and a real database."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from agents.activator import Activator
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.verify import verify
from schemas.commands import SetIndex
from schemas.orders import OrderType, Side
from schemas.rest.orders import LegRequest, OrderRequest
from schemas.units import Nanos, Timestamp
from store.audit.audit import audit
from store.command_log.commands import append_command
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually

PARTS = (engine_unit, projection_unit, Relay)
TOOK = """
SELECT extract(epoch FROM a.matched_at - t.matched_at) * 1000 AS ms FROM orders o
JOIN persisted_records t ON t.market_id = o.market_id AND t.command_seq = o.triggered_command_seq
JOIN persisted_records a ON a.market_id = o.market_id AND a.command_seq = o.activated_command_seq
"""
"""From a trigger's events in the log to those of the activation, to the millisecond."""
CORRUPTIONS = {
    "status = 'UNTRIGGERED' WHERE status = 'TRIGGERED'": "status = 'TRIGGERED' WHERE triggered_at IS NOT NULL AND is_waiting",
    "is_waiting = false WHERE status = 'UNTRIGGERED'": "is_waiting = true WHERE status = 'UNTRIGGERED'",
    "remaining = remaining + 1 WHERE status = 'TRIGGERED'": "remaining = remaining - 1 WHERE status = 'TRIGGERED'",
    "price = price + 1 WHERE status = 'TRIGGERED'": "price = price - 1 WHERE status = 'TRIGGERED'",
}
"""What changes a waiting order without the exchange, and what undoes it."""
STATUSES = "SELECT status, count(*) FROM orders WHERE type LIKE '%MARKET' AND type <> 'MARKET' GROUP BY 1"


async def test_what_fires_and_what_is_activated_is_in_the_rows_and_verify_finds_it_in_the_log(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A stop that closes, legs of an order, one that opens a position, and what waits on: the replay gives the same rows."""
    async with stream_on(broker, database, tmp_path) as stream:
        ann, bob, *_ = stream.users
        market, limit = stream.market, OrderType.LIMIT
        async with hosted(*(part(market, stream.settings) for part in PARTS), Activator(stream.settings)):
            legs = {"take_profit": LegRequest("63000"), "stop_loss": LegRequest("57000")}
            await _submit(
                stream,
                (ann, OrderRequest(market, Side.BUY, limit, "0.5", "60000", **legs)),
                (bob, OrderRequest(market, Side.SELL, limit, "0.5", "60000")),
                (bob, OrderRequest(market, Side.BUY, limit, "0.2", "59000")),
                (bob, OrderRequest(market, Side.BUY, OrderType.STOP_MARKET, "0.1", trigger_price="60500")),
                (ann, OrderRequest(market, Side.SELL, limit, "1", "60700", client_order_id="ask")),
                (ann, _closing(market, "59500", "exit")),
                (ann, _closing(market, "50000", "exit")),
            )
            await stream.drained()
            await _move(stream, 60_600)
            bobs = "SELECT status FROM orders WHERE type = 'STOP_MARKET' AND NOT reduce_only"
            assert await eventually(lambda: _is(stream, bobs, "FILLED"))
            await _move(stream, 59_400)
            await stream.drained()
            assert (await verify(stream.settings, market)).differences == []
            await stream.session.execute("SET session_replication_role = replica")  # the triggers would mend the sums
            for corruption, mended in CORRUPTIONS.items():
                await stream.session.execute(f"UPDATE orders SET {corruption}")
                assert (await verify(stream.settings, market)).differences_found, corruption
                await stream.session.execute(f"UPDATE orders SET {mended}")
            await stream.session.execute("SET session_replication_role = origin")
            assert (await verify(stream.settings, market)).differences == []
        assert await audit(stream.session) == []
        statuses = dict(await stream.session.fetch(STATUSES))
        assert statuses == {"FILLED": 1, "TRIGGERED": 1, "UNTRIGGERED": 2, "CANCELLED": 1}, statuses


async def test_from_the_trigger_to_the_book_an_order_waits_for_the_activator_alone(
    broker: Broker, database: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Idle, one order after the other; the median from the trigger's events in the log to the activation's is recorded with the test."""
    async with stream_on(broker, database, tmp_path) as stream:
        ann = stream.users[0]
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS), Activator(stream.settings)):
            for nth in range(12):
                trigger = 60_100 + 50 * nth
                stop = OrderRequest(
                    stream.market, Side.BUY, OrderType.STOP, "0.001", str(trigger + 500), trigger_price=str(trigger)
                )
                await _submit(stream, (ann, stop))
                await stream.drained()
                await _move(stream, trigger)
                live = f"SELECT count(*) FROM orders WHERE status = 'OPEN' HAVING count(*) = {nth + 1}"
                assert await eventually(lambda live=live: stream.session.fetchval(live))
        took = [float(row["ms"]) for row in await stream.session.fetch(TOOK)]
        assert len(took) == 12
        record_property("trigger to book, p50 ms", median(took))


def _closing(market: str, trigger: str, group: str) -> OrderRequest:
    return OrderRequest(
        market, Side.SELL, OrderType.STOP_MARKET, trigger_price=trigger, close_position=True, oco_group=group
    )


async def _submit(stream: Stream, *orders: tuple[int, OrderRequest]) -> None:
    for answer in await stream.submit([SubmitOrder(user, request) for user, request in orders]):
        assert type(answer).__name__ == "Placed", answer


async def _move(stream: Stream, price: int) -> None:
    await append_command(stream.session, stream.market, SetIndex(Timestamp(BEGAN_AT), Nanos(price * 10**9)))


async def _is(stream: Stream, query: str, expected: str) -> bool:
    return bool(await stream.session.fetchval(query) == expected)
