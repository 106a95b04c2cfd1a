"""Nothing of another account: a walk over all routes, as everybody and as nobody, on an exchange where everything has happened."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from agents.liquidator import Liquidator
from agents.worker.settings import StreamSettings
from api.route import Route
from api.routes import ALL_ROUTES
from schemas.commands import AdvanceClock, Command, SetIndex, SetStatus
from schemas.ids import public_id_of_order
from schemas.market import MarketStatus
from schemas.units import Nanos, Timestamp, format_micros
from store.command_log.commands import append_command
from store.session.connect import connect_writer
from tests.api.exchange import SECRET, Client, Exchange, now
from tests.conftest import STARTED_AT

BTC, ETH = "BTC-PERP", "ETH-PERP"
MARKETS = (BTC, ETH)
PASSWORD = "correct horse battery staple"
FIRST_USER = 7_301_001
QUIET_COMMANDS = 60  # so that no order has the number of a trade: both are `BTC-PERP-12`
FUND_LEFT = 20
SIZE = "0.137"  # of Bob's position, never traded at once
DEPOSITS = {"bob": "430.123457", "ann": "186.654321", "cid": "151.912345", "win": "20000.246813", "mak": "9000.975311"}
EIGHT_HOURS_US = 8 * 3_600_000_000
_FUND = "SELECT sum(amount)::int8 FROM ledger WHERE account = -3"
_DRAIN_FUND = """
WITH transfer AS MATERIALIZED (SELECT nextval('transfers') AS id)
INSERT INTO ledger (account, type, amount, transfer_id, at)
SELECT entry.account, 'INSURANCE_FUND_TRANSFER', entry.amount, transfer.id, now()
FROM transfer, (VALUES (-3, -$1::int8), (-1, $1::int8)) AS entry (account, amount)
"""
_SALE = {"marketId": BTC, "side": "SELL", "type": "LIMIT", "quantity": "0.02", "price": "51000"}
BODIES = {"/orders/preview": _SALE, "/orders": _SALE | {"quantity": "999"}, "/orders/batch": {"orders": [_SALE]}}
"""A sale that would meet another's bid, one beyond any margin; elsewhere a body that is refused."""
PRIVATE_AMOUNTS = ("wallet", "equity", "maintenance", "equityShare", "cost", "openLoss")
TELLING = 5
"""Characters of an amount that is not there by chance."""


class Person(NamedTuple):
    """A user, the API key, and the orders placed."""

    client: Client
    key: str
    orders: list[str]

    async def place(self, **fields: Any) -> None:
        """Place an order, with a client id of the user's own."""
        placed = await self.client.order(clientOrderId=f"{self.client.user}-order-{len(self.orders)}", **fields)
        assert placed.status == 202, placed.body
        self.orders.append(placed.body["orderId"])


async def _registered(exchange: Exchange, name: str, deposit: str) -> Person:
    """By the front door: with a password, a token and a key."""
    body = {"email": f"{name}@private.example", "password": PASSWORD}
    client = exchange.anonymous()
    assert (await client.call("POST", "/auth/register", body)).status == 201
    client.token = (await client.call("POST", "/auth/login", body)).body["token"]
    client.user = int((await client.get("/me")).body["userId"])
    assert (await client.deposit(deposit)).status == 201
    made = await client.call("POST", "/api-keys", {"label": f"{name}'s", "scopes": ["read"]})
    return Person(client, made.body["secret"], [])


async def _send(exchange: Exchange, command: Command, market: str = BTC) -> None:
    await exchange.services.database.run(lambda session: append_command(session, market, command))
    await exchange.run_engine()


async def _look(exchange: Exchange, times: int) -> None:
    """The liquidator at work; what it has ordered is matched and persisted after each look."""
    liquidator = Liquidator(StreamSettings(exchange.dsn, "nowhere", datadir=Path()))
    session = await connect_writer(exchange.dsn, "test liquidator")
    for _ in range(times):
        await liquidator.look(session, now())
        await exchange.run_engine()
    await session.close()


async def _everything(exchange: Exchange) -> tuple[dict[str, Person], dict[str, set[str]]]:
    """Trades, a liquidation, a gap with two bankrupt accounts and a small fund, deleveraging, funding, a settled market.

    Returns the users, and the figures of the positions that they had in between.
    """
    await exchange.execute(f"ALTER TABLE users ALTER COLUMN user_id RESTART WITH {FIRST_USER}")
    for _ in range(QUIET_COMMANDS):
        await exchange.services.database.run(lambda session: append_command(session, BTC, _index(60_000)))
    people = {name: await _registered(exchange, name, amount) for name, amount in DEPOSITS.items()}
    await _trades(exchange, people)
    await _send(exchange, _index(57_250))
    await _look(exchange, 4)  # Cid is sold to a bid of Mak's, and pays the fund a fee
    figures = {name: await _figures(person.client) for name, person in people.items()}
    await exchange.execute(_DRAIN_FUND, (await exchange.value(_FUND)) - FUND_LEFT * 1_000_000)
    await _send(exchange, _index(56_500))
    await _look(exchange, 8)
    at = Timestamp(max(now(), STARTED_AT))
    for end in (at, Timestamp((at // EIGHT_HOURS_US + 1) * EIGHT_HOURS_US)):
        await _send(exchange, AdvanceClock(end), ETH)
    for status in (MarketStatus.SETTLEMENT_ONLY, MarketStatus.SETTLED):
        await _send(exchange, SetStatus(end, status), ETH)
    return people, figures


async def _trades(exchange: Exchange, people: dict[str, Person]) -> None:
    """Mak is between the longs and Win, who so has another entry than they."""
    bob, ann, cid, win, mak = people.values()
    for quantity, long in (("0.1", bob), ("0.037", bob), ("0.059", ann), ("0.05", cid)):
        await mak.place(quantity=quantity, price="60100")
        await win.place(side="SELL", quantity=quantity, price="60100")
        await mak.place(side="SELL", quantity=quantity)
        await long.place(quantity=quantity)
    await win.place(quantity="0.23", marketId=ETH, price="3000")
    await mak.place(side="SELL", quantity="0.23", marketId=ETH, price="3000")
    await mak.place(quantity="0.05", price="57200")
    await mak.place(quantity="0.017", price="56001")
    await exchange.run_engine()
    await mak.client.cancel(mak.orders[-1])
    await mak.place(quantity="0.013", price="56002")
    assert (await mak.client.withdraw("7.123457", "once")).status == 201


async def _figures(client: Client) -> set[str]:
    """What only the owner of a position is shown of it."""
    positions = (await client.get("/positions")).body
    names = ("liquidationPrice", "initialMargin", "maintenanceMargin", "unrealizedPnl")
    shown = {position[name] for position in positions for name in names if position[name] is not None}
    return shown | ({SIZE} & {position["quantity"] for position in positions})


def _index(usdc: int) -> SetIndex:
    return SetIndex(now(), Nanos(usdc * 10**9))


async def test_no_route_shows_anything_of_another_account(exchange: Exchange) -> None:
    """No user id, e-mail, client id, order, wallet, equity, cost or secret of another, in whatever any route answers."""
    people, figures = await _everything(exchange)
    await _check_that_everything_has_happened(exchange, people)
    traces = {name: await _traces_of(exchange, person, figures[name]) for name, person in people.items()}
    assert all(len(each) > 10 for each in traces.values())
    callers = {"nobody": Person(exchange.anonymous(), "", [])} | people
    found, answers = [], 0
    for name, caller in callers.items():
        others = [each for other, each in traces.items() if other != name]
        foreign = {value: what for each in others for value, what in each.items() if value not in traces.get(name, {})}
        foreign |= dict.fromkeys((SECRET, exchange.dsn, PASSWORD), Kind.SECRET)
        async for answer in _walk(caller, [each for other, each in people.items() if other != name]):
            answers += 1
            found += [f"{name} {answer.asked}: {foreign[value]} {value}" for value in _shown(answer, foreign)]
    assert answers > 5 * len(ALL_ROUTES)
    assert not found, "\n".join(found)


async def _check_that_everything_has_happened(exchange: Exchange, people: Mapping[str, Person]) -> None:
    """Else the walk proves little: a partial take-over, another account's step meanwhile, deleveraging, funding, settlement."""
    actions = await _rows(exchange, "SELECT user_id, action, inputs::text AS inputs FROM liquidation_steps")
    assert {row["action"] for row in actions} >= {"MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "TAKE_OVER", "ADL"}
    inputs = [json.loads(row["inputs"]) for row in actions]
    assert any("fundTakes" in each for each in inputs)
    assert any(each["fund"]["inFlight"] != "0" for each in inputs if "fund" in each)
    assert await _rows(exchange, "SELECT 1 FROM ledger WHERE account = -3 AND type = 'LIQUIDATION_FEE'")
    for table in ("funding_payments", "settlements"):
        assert await _rows(exchange, f"SELECT 1 FROM {table}"), table
    receipts = (await people["win"].client.get("/liquidations")).body["data"]
    assert "COUNTERPARTY" in {receipt["role"] for receipt in receipts}
    traced = (await people["bob"].client.get(f"/orders/{people['bob'].orders[0]}/trace")).body
    assert "FILLED" in {hop["hop"] for hop in traced["hops"]}


class Kind(StrEnum):
    """What a value is of somebody's."""

    NAME = "name"
    ORDER = "order"
    AMOUNT = "amount"
    PART = "part that the fund takes"
    SECRET = "secret"


OPEN = {
    Kind.ORDER: {"/markets/{marketId}/fills"},  # the public stream names both orders of a trade (docs/consume.md)
    Kind.PART: {"/insurance-fund"},  # its own position by then
}
"""Where something of others may be."""


class Answered(NamedTuple):
    """All that a request was answered with, headers included, and the ids that the caller has put into it."""

    asked: str
    template: str
    text: str
    given: tuple[str, ...] = ()


async def _walk(caller: Person, others: Iterable[Person]) -> AsyncIterator[Answered]:
    """Every route: reads with the caller's ids and with those of others, then all others with others' ids and a body."""
    own = {"orderId": caller.orders[0], "clientOrderId": f"{caller.client.user}-order-0"} if caller.orders else {}
    strange = [{"orderId": other.orders[-1], "clientOrderId": _client_id(other)} for other in others]
    for route in sorted(ALL_ROUTES, key=lambda route: route.method != "GET"):
        is_read, names_order = route.method == "GET", "rderId}" in route.path
        body = None if is_read or route.method == "DELETE" else BODIES.get(route.path, {"userId": str(FIRST_USER)})
        for ids in [*([own] if is_read or not names_order else []), *(strange if names_order else [])]:
            for market in MARKETS if "{marketId}" in route.path else MARKETS[:1]:
                path = re.sub(r"\{(\w+)\}", partial(_filled, {"marketId": market} | ids), route.path)
                yield await _answered(caller.client, route, path, body, (str(FIRST_USER), *ids.values()))


def _filled(names: Mapping[str, str], place: re.Match[str]) -> str:
    return names.get(place[1], "1")


async def _answered(client: Client, route: Route, path: str, body: Any, given: tuple[str, ...]) -> Answered:
    reply = await client.call(route.method, path, body)
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    headers = "\n".join(f"{name}: {value}" for name, value in reply.headers.items())
    return Answered(f"{route.method} {path}", route.path, f"{headers}\n{text}", given)


def _client_id(person: Person) -> str:
    return f"{person.client.user}-order-{len(person.orders) - 1}"


def _shown(answer: Answered, foreign: Mapping[str, Kind]) -> list[str]:
    """What of the foreign is in an answer, except what the caller has asked for by name, and the orders of the public stream."""
    return [
        value
        for value, kind in foreign.items()
        if value in answer.text
        and re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])", answer.text)
        and value not in answer.given
        and answer.template not in OPEN.get(kind, ())
    ]


async def _traces_of(exchange: Exchange, person: Person, figures: set[str]) -> dict[str, Kind]:
    """Everything stored about a user that identifies the account, or says what it has."""
    user = person.client.user
    traces = {str(user): Kind.NAME, person.key: Kind.SECRET, str(person.client.token): Kind.SECRET}
    for row in await _rows(exchange, "SELECT email, password_hash FROM users WHERE user_id = $1", user):
        traces |= {row["email"]: Kind.NAME, row["password_hash"]: Kind.SECRET}
    for row in await _rows(exchange, "SELECT to_jsonb(k) AS key FROM api_keys k WHERE user_id = $1", user):
        traces |= {
            each: Kind.SECRET for each in json.loads(row["key"]).values() if isinstance(each, str) and len(each) > 40
        }
    query = "SELECT name, order_id, client_order_id FROM orders JOIN markets USING (market_id) WHERE user_id = $1"
    for row in await _rows(exchange, query, user):
        traces[public_id_of_order(row["name"], row["order_id"])] = Kind.ORDER
        traces |= {row["client_order_id"]: Kind.NAME} if row["client_order_id"] else {}
    amounts = {
        format_micros(row["balance_after"])
        for row in await _rows(exchange, "SELECT balance_after FROM ledger WHERE account = $1", user)
    }
    for row in await _rows(exchange, "SELECT user_id, inputs::text AS inputs FROM liquidation_steps"):
        inputs = json.loads(row["inputs"])
        is_own = row["user_id"] == user
        amounts |= set(_amounts(inputs if is_own else _ranked(inputs, user)))
        if is_own and "fundTakes" in inputs:
            traces[inputs["fundTakes"]["equityShare"]] = Kind.PART
    telling = {each for each in amounts | figures if len(each) >= TELLING}
    return traces | dict.fromkeys(telling, Kind.AMOUNT)


def _ranked(inputs: dict[str, Any], user: int) -> list[Any]:
    return [each for each in inputs.get("ranking", []) if each["user"] == user]


def _amounts(receipt: Any) -> Iterator[str]:
    """The private amounts in a receipt; not those of the fund and of others in it."""
    if isinstance(receipt, list):
        for each in receipt:
            yield from _amounts(each)
    elif isinstance(receipt, dict):
        for name, value in receipt.items():
            if name in PRIVATE_AMOUNTS:
                yield value
            elif name not in {"fund", "fundTakes", "ranking"}:
                yield from _amounts(value)


async def _rows(exchange: Exchange, query: str, *arguments: object) -> list[Any]:
    session = await asyncpg.connect(exchange.dsn)
    try:
        return list(await session.fetch(query, *arguments))
    finally:
        await session.close()
