"""Orders, amends and cancels that go the fast path: the same answers as aiohttp's way, in the order of the requests."""

import asyncio
import json
import random
from typing import Any, NamedTuple

import asyncpg
import pytest

from api.access.budgets import Budget, Rate
from api.fast_path.protocol import JsonProtocol
from tests.api.exchange import Client, Exchange

BID: dict[str, Any] = {
    "marketId": "BTC-PERP",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.01",
    "price": "60000",
}
VARYING = {"Date", "X-Request-Id", "Location", "X-Command-Id", "RateLimit", "Content-Length"}


class Answer(NamedTuple):
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def request(client: Client, method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """A request as bytes."""
    sent = b"" if body is None else json.dumps(body).encode()
    lines = {"Host": "x", "Authorization": f"Bearer {client.token}"}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(sent))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + sent


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["Content-Length"]))
    return Answer(int(first.split()[1]), headers, json.loads(body))


async def answers_to(exchange: Exchange, *requests: bytes) -> list[Answer]:
    """The answers to requests over one connection, each after the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    answers = []
    for each in requests:
        writer.write(each)
        answers.append(await read_answer(reader))
    writer.close()
    return answers


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request that was looked at, whether it went the fast path."""
    ways: list[bool] = []
    takes = JsonProtocol._takes_quickly

    def noted(protocol: JsonProtocol) -> bool:
        ways.append(takes(protocol))
        return ways[-1]

    monkeypatch.setattr(JsonProtocol, "_takes_quickly", noted)
    return ways


def _shape(answer: Answer) -> tuple[int, set[str], dict[str, str], Any]:
    fixed = {name: value for name, value in answer.headers.items() if name not in VARYING}
    error = answer.body.get("error")
    body = {**error, "requestId": ""} if error else sorted(answer.body)
    return answer.status, set(answer.headers), fixed, body


async def test_both_ways_answer_alike(exchange: Exchange, quickly: list[bool]) -> None:
    """Accepted, repeated, refused by margin, by grid, by client id; cancels of an own, an unknown and an ended order; amends."""
    alice, bob = await exchange.user(), await exchange.user()
    quickly.clear()
    charset = {"Content-Type": "application/json; charset=utf-8"}  # which is not plain
    bodies = [
        BID,
        BID | {"clientOrderId": "a"},
        BID | {"clientOrderId": "a"},
        BID | {"clientOrderId": "a", "quantity": "0.02"},
        BID | {"quantity": "900"},
        BID | {"price": "60000.05"},
        BID | {"marketId": "NOPE"},
    ]
    quick = await answers_to(exchange, *(request(alice, "POST", "/orders", body) for body in bodies))
    assert quickly == [True] * len(bodies)
    assert [answer.status for answer in quick] == [202, 202, 200, 409, 422, 400, 404]
    slow = await answers_to(exchange, *(request(bob, "POST", "/orders", body, **charset) for body in bodies))
    assert quickly[len(bodies) :] == [False] * len(bodies)
    assert [_shape(answer) for answer in quick] == [_shape(answer) for answer in slow]
    amends = [{"quantity": "0.02"}, {"price": "59000"}, {"price": "59000.05"}, {}, {"triggerPrice": "1"}]
    both = [
        await answers_to(
            exchange,
            *(request(who, "PUT", f"/orders/{answers[0].body['orderId']}", body, **extra) for body in amends),
            request(who, "PUT", "/orders/BTC-PERP-999999", {"price": "59000"}, **extra),
        )
        for who, answers, extra in ((alice, quick, {}), (bob, slow, charset))
    ]
    assert [answer.status for answer in both[0]] == [202, 409, 409, 400, 409, 404]
    assert quickly[-12:] == [True] * 6 + [False] * 6
    assert [_shape(answer)[:3] for answer in both[0]] == [_shape(answer)[:3] for answer in both[1]]
    own = [quick[0].body["orderId"], "BTC-PERP-999999", "no order"]
    cancels = [request(alice, "DELETE", f"/orders/{order_id.replace(' ', '%20')}") for order_id in own]
    answers = await answers_to(exchange, *cancels)
    assert [(answer.status, answer.body.get("status")) for answer in answers] == [
        (202, "PENDING_CANCEL"),
        (404, None),
        (404, None),
    ]
    assert quickly[-3:] == [True, True, False]


async def test_answers_come_in_the_order_of_the_requests(exchange: Exchange) -> None:
    """Orders, cancels and reads mixed in one connection, in one piece, in any pieces, faster than they are answered."""
    alice, draw = await exchange.user(), random.Random(5)  # noqa: S311 - the same pieces on every run
    for _ in range(20):
        kinds = [draw.choice(["order", "read", "refused", "cancel"]) for _ in range(12)]
        sent = b"".join(
            {
                "order": request(alice, "POST", "/orders", BID),
                "read": request(alice, "GET", "/balances"),
                "refused": request(alice, "POST", "/orders", BID | {"quantity": "x"}),
                "cancel": request(alice, "DELETE", "/orders/BTC-PERP-999999"),
            }[kind]
            for kind in kinds
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        while sent:
            size = draw.randint(1, len(sent))
            writer.write(sent[:size])
            sent = sent[size:]
            await asyncio.sleep(draw.choice((0, 0.001)))
        answers = [await read_answer(reader) for _ in kinds]
        writer.close()
        expected = {"order": 202, "read": 200, "refused": 400, "cancel": 404}
        assert [answer.status for answer in answers] == [expected[kind] for kind in kinds]


async def test_a_budget_that_is_used_up_refuses_the_quick_too(database: str) -> None:
    """RATE_LIMITED with Retry-After, and every earlier answer gives how many are left."""
    exchange = await Exchange(database).start(rates={Budget.ORDERS: Rate(3, 60)})
    alice = await exchange.user()
    answers = await answers_to(exchange, *(request(alice, "POST", "/orders", BID) for _ in range(5)))
    assert [answer.status for answer in answers] == [202, 202, 202, 429, 429]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers[:3]] == ["r=2", "r=1", "r=0"]
    assert "Retry-After" in answers[3].headers
    await exchange.stop()


async def test_an_order_on_its_way_is_answered_when_the_server_stops(database: str) -> None:
    """Nothing is cut: what was accepted before the stop is answered, then the connection is closed."""
    exchange = await Exchange(database).start()
    alice = await exchange.user()
    held = await asyncpg.connect(database)
    await held.execute("BEGIN; LOCK TABLE accounts")
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    writer.write(request(alice, "POST", "/orders", BID))
    await asyncio.sleep(0.2)
    stopping = asyncio.create_task(exchange.stop())
    await asyncio.sleep(0.3)
    await held.close()
    assert (await read_answer(reader)).status == 202
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await stopping
    writer.close()
