"""How waiting orders end without firing: liquidation, time, the market's end, and commands that broke the engine."""

from pathlib import Path

from agents.liquidator import Liquidator
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock, Command, SetStatus
from schemas.market import MarketStatus
from schemas.units import SECOND_US, Timestamp, datetime_of
from store.command_log.commands import append_command
from store.markets.due_orders import read_ticking
from store.session.connect import connect_writer
from tests.api.exchange import Client, Exchange, Reply, now
from tests.api.margin_scene import findings_of, long_from, move_index
from tests.conftest import STARTED_AT


async def send(exchange: Exchange, command: Command) -> None:
    """A command of the exchange, matched and persisted."""
    session = await connect_writer(exchange.dsn, "test operator")
    await append_command(session, "BTC-PERP", command)
    await session.close()
    await exchange.run_engine()


async def ends(client: Client, *placed: Reply) -> list[tuple[str, str | None]]:
    """Status and reason of each."""
    orders = [(await client.get(one.headers["Location"])).body for one in placed]
    return [(order["status"], order["reason"]) for order in orders]


async def waiting_of_each_kind(client: Client) -> list[Reply]:
    """Orders far from the mark: one that closes, one that reduces, one that opens, and a parent with its leg."""
    return [
        await client.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="30000", quantity=None, closePosition=True),
        await client.order(side="SELL", type="TAKE_PROFIT", price="90000", triggerPrice="90000", reduceOnly=True),
        await client.order(type="STOP_MARKET", price=None, triggerPrice="90000"),
        await client.order(price="58000", quantity="0.001", stopLoss={"triggerPrice": "30000"}),
    ]  # fmt: skip


async def test_a_liquidation_cancels_all_conditional_orders_of_the_account(exchange: Exchange) -> None:
    """With the live ones, when the account is flagged."""
    alice, _ = await long_from(exchange, "3300", "1")
    placed = await waiting_of_each_kind(alice)
    await exchange.run_engine()
    await move_index(exchange, 56_900)
    session = await connect_writer(exchange.dsn, "test liquidator")
    await Liquidator(StreamSettings(exchange.dsn, "nowhere", datadir=Path())).look(session, now())
    await session.close()
    await exchange.run_engine()
    assert await ends(alice, *placed) == [("CANCELLED", "LIQUIDATION")] * 4
    assert await exchange.value("SELECT sum(waiting_orders) FROM positions") == 0
    assert await findings_of(exchange) == []


async def test_waiting_orders_expire_and_keep_the_clock_of_their_market_running(exchange: Exchange) -> None:
    """A GTD stop alone in a market: the clock knows when it is due, and ticks each second as long as it waits."""
    alice = await exchange.user()
    due = datetime_of(Timestamp(STARTED_AT + 20 * SECOND_US))  # the market's clock begins there
    stop = await alice.order(
        type="STOP_MARKET", price=None, triggerPrice="90000", timeInForce="GTD", expiresAt=due.isoformat()
    )
    lasting = await alice.order(type="STOP_MARKET", price=None, triggerPrice="90000")
    assert (stop.status, lasting.status) == (202, 202), stop.body
    await exchange.run_engine()

    async def ticking() -> list[object]:
        soon = Timestamp(STARTED_AT + 60 * SECOND_US)
        found = await exchange.services.database.run(
            lambda session: read_ticking(session, STARTED_AT, soon, only_due=True)
        )
        return [(market.name, market.is_in_use) for market in found]

    assert await ticking() == [("BTC-PERP", True)]
    await send(exchange, AdvanceClock(Timestamp(STARTED_AT + 21 * SECOND_US)))
    assert await ends(alice, stop, lasting) == [("EXPIRED", "GTD_EXPIRED"), ("UNTRIGGERED", None)]
    assert await ticking() == []
    assert await findings_of(exchange) == []


async def test_a_settled_market_has_no_waiting_orders(exchange: Exchange) -> None:
    """SETTLEMENT_ONLY ends those that may open a position, SETTLED the rest."""
    alice, _ = await long_from(exchange, "3300", "1")
    closing, reducing, opening, parent = await waiting_of_each_kind(alice)
    await exchange.run_engine()
    await send(exchange, SetStatus(now(), MarketStatus.SETTLEMENT_ONLY))
    assert await ends(alice, closing, reducing, opening, parent) == [
        ("UNTRIGGERED", None),
        ("UNTRIGGERED", None),
        ("CANCELLED", "MARKET_STATUS"),
        ("CANCELLED", "MARKET_STATUS"),
    ]
    await send(exchange, SetStatus(now(), MarketStatus.SETTLED))
    assert [status for status, _ in await ends(alice, closing, reducing)] == ["CANCELLED"] * 2
    assert await exchange.value("SELECT count(*) FROM orders WHERE is_waiting OR is_live") == 0
    assert await findings_of(exchange) == []


async def test_nothing_fires_in_a_market_that_is_not_open(exchange: Exchange) -> None:
    """What holds when trading is possible again fires then; cancels work meanwhile."""
    alice, rich = await long_from(exchange, "3300", "0.1")
    stop = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59500", reduceOnly=True)
    other = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59000", reduceOnly=True)
    await rich.order(price="59400", quantity="1")
    await exchange.run_engine()
    await send(exchange, SetStatus(now(), MarketStatus.HALTED))
    await move_index(exchange, 59_450)
    assert (await alice.cancel(other.body["orderId"])).status == 202
    await exchange.run_engine()
    assert await ends(alice, stop, other) == [("UNTRIGGERED", None), ("CANCELLED", "USER")]
    await send(exchange, SetStatus(now(), MarketStatus.ACTIVE))
    assert await ends(alice, stop) == [("FILLED", None)]
    assert await findings_of(exchange) == []
