"""The activator under kills and repetition: an order is activated once, with its margin, whatever happens to the activator."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from agents.activator import Activator
from agents.worker.settings import StreamSettings
from store.activation import activate, read_triggered
from store.crash_points import CrashPoint, arm, disarm_all
from store.markets.registry import load_registry
from store.operators.acts import Operator
from store.operators.freezing import freeze
from store.session.connect import Connection, connect_writer
from tests.agents.stream import hosted
from tests.api.exchange import Client, Exchange, now
from tests.api.margin_scene import findings_of, move_index
from tests.eventually import eventually
from tests.store.roles import as_role, make_roles

KILLS = 20
COMMANDS = "SELECT count(*) FROM outbox WHERE payload::text LIKE '%' || encode($1, 'hex') || '%'"


class Killed(Exception):
    """The process is gone."""


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    disarm_all()


@asynccontextmanager
async def session_of(exchange: Exchange, dsn: str | None = None) -> AsyncIterator[Connection]:
    """A session as the activator has it."""
    session = await connect_writer(dsn or exchange.dsn, "test activator")
    try:
        yield session
    finally:
        session.terminate()


async def triggered(exchange: Exchange, count: int, **fields: object) -> Client:
    """A trader whose orders that open a position have just triggered."""
    alice = await exchange.user("1000000")
    for _ in range(count):
        placed = await alice.order(type="STOP", price="60800", triggerPrice="60500", quantity="0.01", **fields)
        assert placed.status == 202
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    return alice


async def look(exchange: Exchange, dsn: str | None = None) -> None:
    """One look of a new activator."""
    async with session_of(exchange, dsn) as session:
        activator = Activator(StreamSettings(exchange.dsn, "nowhere", datadir=Path()))
        await activator.look(session, await load_registry(session))


async def commands(exchange: Exchange, tag: bytes) -> int:
    """How many commands of a kind are in the logs."""
    return int(await exchange.value(COMMANDS, b'{"type":"' + tag + b'"'))


async def test_an_order_is_activated_once_however_often_it_is_tried(exchange: Exchange) -> None:
    """A second activator that has read the same list writes nothing."""
    await triggered(exchange, 3)
    async with session_of(exchange) as one, session_of(exchange) as other:
        registry, found = await load_registry(one), await read_triggered(one, 10)
        assert len(found) == 3
        for session in (one, other, one):
            for each in found:
                await activate(session, registry, each, now())
    assert await commands(exchange, b"conditional.activated") == 3
    await exchange.run_engine()
    assert await exchange.value("SELECT count(*) FROM orders WHERE status = 'OPEN' AND is_live AND NOT is_waiting") == 3
    assert await findings_of(exchange) == []


@pytest.mark.parametrize("point", [CrashPoint.AFTER_ACTIVATION_BEFORE_COMMIT, CrashPoint.AFTER_ACTIVATION_COMMIT])
async def test_killed_between_trigger_and_activation_nothing_is_doubled(exchange: Exchange, point: CrashPoint) -> None:
    """Killed twenty times at each point, once for each order: every order is activated once, and the margin sums are exact."""
    await triggered(exchange, KILLS)
    killed = 0

    def die() -> None:
        nonlocal killed
        killed += 1
        raise Killed

    arm(point, die)
    for _ in range(KILLS):
        with suppress(Killed):
            await look(exchange)
    assert killed == KILLS
    disarm_all()
    assert await findings_of(exchange) == []
    await look(exchange)
    assert await commands(exchange, b"conditional.activated") == KILLS
    await exchange.run_engine()
    assert await exchange.value("SELECT count(*) FROM orders WHERE status = 'OPEN'") == KILLS
    assert await exchange.value("SELECT live_orders FROM positions WHERE live_orders > 0") == KILLS
    assert await findings_of(exchange) == []


async def test_an_order_that_ended_meanwhile_is_refused_and_out_of_the_sums(exchange: Exchange) -> None:
    """The user's cancel is in the log before the activation."""
    alice = await triggered(exchange, 1)
    order = (await alice.get("/orders")).body[0]["orderId"]
    async with session_of(exchange) as session:
        (found,) = await read_triggered(session, 10)
        await exchange.execute("UPDATE orders SET cancel_seq = NULL")
        assert (await alice.cancel(order)).status == 202
        await exchange.execute("UPDATE orders SET cancel_seq = NULL")  # as if the activator had decided before
        await activate(session, await load_registry(session), found, now())
    await exchange.run_engine()
    order = (await alice.get("/orders")).body[0]
    assert (order["status"], order["reason"]) == ("CANCELLED", "USER")
    assert (await alice.get("/balances")).body[0]["availableMargin"] == "1000000"
    assert await findings_of(exchange) == []


async def test_a_cancel_under_way_keeps_the_activator_away(exchange: Exchange) -> None:
    """A triggered order that its owner cancels is not activated."""
    alice = await triggered(exchange, 1)
    await alice.cancel((await alice.get("/orders")).body[0]["orderId"])
    await look(exchange)
    assert await commands(exchange, b"conditional.activated") == 0


async def test_twenty_orders_that_trigger_on_one_balance_use_each_dollar_once(exchange: Exchange) -> None:
    """Of those that fire together as many are activated as the margin covers; the others end, MARGIN."""
    alice = await exchange.user("1000")
    for _ in range(KILLS):
        await alice.order(type="STOP", price="60600", triggerPrice="60500", quantity="0.1")
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    await look(exchange)
    await exchange.run_engine()
    ends = [order["reason"] for order in (await alice.get("/orders")).body]
    assert (ends.count(None), ends.count("MARGIN")) == (3, 17)  # 303 and 3.03 of fees each
    assert float((await alice.get("/balances")).body[0]["availableMargin"]) >= 0
    assert await findings_of(exchange) == []


async def test_nothing_enters_the_book_while_the_account_is_frozen(exchange: Exchange) -> None:
    """What has triggered before or at that very moment ends, MARGIN, and holds no margin, whoever is first: the freeze or the activator."""
    for _ in range(3):
        alice = await triggered(exchange, 4)
        async with session_of(exchange) as session:
            await asyncio.gather(look(exchange), freeze(session, Operator(None, "desk"), alice.user, "drill", now()))
        await look(exchange)
        await exchange.run_engine()
        assert {(each["status"], each["reason"]) for each in (await alice.get("/orders")).body} == {
            ("CANCELLED", "MARGIN")
        }
        assert (await alice.get("/balances")).body[0]["availableMargin"] == "1000000"
        await move_index(exchange, 60_000)
    assert await findings_of(exchange) == []


async def test_a_market_that_closed_ends_what_had_triggered(exchange: Exchange) -> None:
    """MARKET_STATUS, decided when the order would be activated."""
    alice = await triggered(exchange, 1)
    await exchange.execute("UPDATE markets SET status = 'CANCEL_ONLY' WHERE name = 'BTC-PERP'")
    await look(exchange)
    await exchange.run_engine()
    order = (await alice.get("/orders")).body[0]
    assert (order["status"], order["reason"]) == ("CANCELLED", "MARKET_STATUS")


async def test_the_activator_works_under_the_role_of_the_liquidator(exchange: Exchange) -> None:
    """And that role may not do more to an order than that."""
    await make_roles(exchange.dsn)
    await triggered(exchange, 1)
    role = as_role(exchange.dsn, "liquidator")
    await look(exchange, role)
    assert await commands(exchange, b"conditional.activated") == 1
    async with session_of(exchange, role) as session:
        for forbidden in ("status = 'FILLED'", "remaining = 1", "price = 1", "trigger_price = 1", "filled_lots = 1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(f"UPDATE orders SET {forbidden}")


async def test_the_activator_is_woken_by_the_database_and_is_alone(exchange: Exchange) -> None:
    """Two of them run; one activates what triggers, without a look of its own in between."""
    settings = StreamSettings(exchange.dsn, "nowhere", datadir=Path())
    async with hosted(Activator(settings), Activator(settings)):
        await triggered(exchange, 2)

        async def is_done() -> bool:
            return await commands(exchange, b"conditional.activated") == 2

        assert await eventually(is_done)
    await exchange.run_engine()
    assert await findings_of(exchange) == []
