"""Money from outside: what does not match the published pattern is refused before any arithmetic touches it."""

import time
from typing import Any

from tests.api.exchange import Client, Exchange, Reply

HOSTILE: list[Any] = [
    "",
    " ",
    "0",
    "0.0",
    "00",
    "01",
    "-1",
    "+1",
    "-0",
    "1.",
    ".5",
    ".",
    "1.5.5",
    "1e3",
    "1E3",
    "1e1000000",
    "1e-7",
    "1e999999999",
    "9" * 5_000,
    "1" + "0" * 18,
    "1000000000000.000001",
    "1000000000001",
    "999999999999999999",
    "0.1234567890123456789",
    "0.0000000000000000001",
    "0." + "0" * 17 + "1",
    "1.5\n",
    "\n1.5",
    " 1.5",
    "1.5 ",
    "1 5",
    "1,5",
    "1_000",
    "0x10",
    "0b1",
    "1/2",
    "NaN",
    "nan",
    "sNaN",
    "Infinity",
    "-inf",
    "\u0661",
    "\uff11",
    "\u00b2",
    "1\u0000",
    "\u0000",
    "1\u200b",
    "1.5f",
    "$1",
    "null",
    1,
    1.5,
    -1,
    0,
    10**30,
    True,
    None,
    [],
    ["1"],
    {},
    {"value": "1"},
]


async def _refused_quickly(client: Client, path: str, body: dict[str, Any]) -> Reply:
    began = time.perf_counter()
    reply = await client.call("POST", path, body)
    assert time.perf_counter() - began < 1.0, body
    return reply


async def test_no_hostile_number_enters_an_order(exchange: Exchange) -> None:
    """INVALID_ORDER at once for quantity and price; nothing is stored."""
    alice = await exchange.user("1000000")
    order = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    assert len(HOSTILE) >= 40
    for form in HOSTILE:
        for field in ("quantity", "price"):
            reply = await _refused_quickly(alice, "/orders", order | {field: form})
            assert (reply.status, reply.code) == (400, "INVALID_ORDER"), (field, form)
    assert await exchange.value("SELECT count(*) FROM orders") == 0
    assert await exchange.value("SELECT max(command_seq) FROM counters") == 1


async def test_no_hostile_number_enters_a_batch_or_a_preview(exchange: Exchange) -> None:
    """INVALID_ORDER at once, for the whole body where it is no order, else in the answer; nothing is stored."""
    alice = await exchange.user("1000000")
    order = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    for form in HOSTILE:
        for field in ("quantity", "price"):
            batch = await _refused_quickly(alice, "/orders/batch", {"orders": [order | {field: form}]})
            preview = await _refused_quickly(alice, "/orders/preview", order | {field: form})
            assert (batch.code or batch.body["orders"][0]["error"]["code"]) == "INVALID_ORDER", (field, form)
            assert (preview.code or preview.body["refusal"]["code"]) == "INVALID_ORDER", (field, form)
    assert await exchange.value("SELECT count(*) FROM orders") == 0


async def test_no_hostile_number_enters_a_deposit_or_a_withdrawal(exchange: Exchange) -> None:
    """INVALID_REQUEST at once; nothing is stored."""
    alice = await exchange.user("1000000000000")
    for form in [*HOSTILE, "0.0000001", "1000000000000.1"]:
        for path in ("/deposits", "/withdrawals"):
            reply = await _refused_quickly(alice, path, {"asset": "USDC", "amount": form})
            assert (reply.status, reply.code) == (400, "INVALID_REQUEST"), (path, form)
    assert await exchange.value("SELECT count(*) FROM ledger WHERE account > 0") == 1


async def test_numbers_written_without_quotes_are_no_money(exchange: Exchange) -> None:
    """JSON numbers of any form are refused from their text, also those Python would take a minute for."""
    alice = await exchange.user()
    for number in ("1e1000000", "1" * 60_000, "-0", "1.0", "1E400", "0.1e1"):
        for path in ("/orders", "/deposits", "/withdrawals"):
            code = "INVALID_ORDER" if path == "/orders" else "INVALID_REQUEST"
            name = "quantity" if path == "/orders" else "amount"
            began = time.perf_counter()
            reply = await alice.call(
                "POST", path, data=f'{{"{name}": {number}}}', headers={"Content-Type": "application/json"}
            )
            assert (reply.status, reply.code) == (400, code), (path, number[:20])
            assert time.perf_counter() - began < 1.0
