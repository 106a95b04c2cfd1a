"""Bodies and connections that mean harm: each is refused in the contract's words, and the server continues."""

import asyncio
import gzip
import json
import re
from typing import Any

from tests.api.exchange import Client, Exchange, Reply

JSON_TYPE = {"Content-Type": "application/json"}
ORDER = '"marketId":"BTC-PERP","side":"BUY","type":"LIMIT","quantity":"0.1","price":"60000"'


async def _post(client: Client, path: str, data: Any, **headers: str) -> Reply:
    return await client.call("POST", path, data=data, headers=JSON_TYPE | headers)


async def _raw(port: int, sent: bytes, *, then_close: bool = False) -> bytes:
    """Send bytes and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    if then_close:
        writer.close()
        return b""
    received = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return received


def _order_bytes(client: Client, **headers: str) -> bytes:
    body = f"{{{ORDER}}}"
    lines = {"Host": "x", "Authorization": f"Bearer {client.token}", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | JSON_TYPE | headers).items())
    return f"POST /orders HTTP/1.1\r\n{head}\r\n{body}".encode()


async def test_a_body_over_64_kib_is_too_large_however_it_comes(exchange: Exchange) -> None:
    """PAYLOAD_TOO_LARGE by its stated length, and by its real one when it comes in chunks."""
    alice = await exchange.user()

    async def chunks() -> Any:
        for _ in range(70):
            yield b" " * 1_024

    for data in (b" " * (64 * 1_024 + 1), chunks()):
        reply = await _post(alice, "/orders", data)
        assert (reply.status, reply.code) == (413, "PAYLOAD_TOO_LARGE")
    assert (await _post(alice, "/orders", f"{{{ORDER}}}".ljust(64 * 1_024))).status == 202


async def test_an_encoded_body_is_not_unpacked(exchange: Exchange) -> None:
    """UNSUPPORTED_MEDIA_TYPE, a bomb of a gigabyte included."""
    alice = await exchange.user()
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in ("gzip", "deflate", "br", "identity"):
        reply = await _post(alice, "/orders", bomb, **{"Content-Encoding": encoding})
        assert (reply.status, reply.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_only_json_is_a_media_type(exchange: Exchange) -> None:
    """UNSUPPORTED_MEDIA_TYPE for forms, text and nothing; a charset may follow."""
    alice = await exchange.user()
    body = f"{{{ORDER}}}"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "json"):
        assert (await _post(alice, "/orders", body, **{"Content-Type": kind})).code == "UNSUPPORTED_MEDIA_TYPE", kind
    assert (await _post(alice, "/orders", body, **{"Content-Type": "application/json; charset=utf-8"})).status == 202


async def test_what_is_not_json_in_utf8_is_an_invalid_request_everywhere(exchange: Exchange) -> None:
    """INVALID_REQUEST also on order routes, wherever in the body the fault is."""
    alice = await exchange.user()
    broken: list[bytes] = [
        b"",
        b" ",
        b"{",
        b"{]",
        b"nonsense",
        b"{'side': 'BUY'}",
        b"{" + ORDER.encode() + b",}",
        b"{" + ORDER.encode() + b"} x",
        b"{" + ORDER.encode() + b',"x":"\xff"}',
        b'{"unknown":"\xff"}',
        b'{"side":NaN}',
        b'{"side":Infinity}',
        b'{"side":01}',
        b'{"side":"a\nb"}',
        b"\xef\xbb\xbf{" + ORDER.encode() + b"}",
        f"{{{ORDER}}}".encode("utf-16"),
        f"{{{ORDER}}}".encode("utf-32"),
        b"\x00",
        b"\x80",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000,
    ]
    for body in broken:
        for path in ("/orders", "/deposits", "/auth/login", "/auth/register"):
            reply = await _post(alice, path, body)
            assert (reply.status, reply.code) == (400, "INVALID_REQUEST"), (path, body[:40])


async def test_json_that_is_no_object_does_not_fit(exchange: Exchange) -> None:
    """INVALID_ORDER on order routes, INVALID_REQUEST elsewhere."""
    alice = await exchange.user()
    for body in ("null", "[]", "[{}]", "true", "1", '"x"', "{}", f"[{{{ORDER}}}]", '{"side":"\\ud800"}'):
        assert (await _post(alice, "/orders", body)).code == "INVALID_ORDER", body
        assert (await _post(alice, "/deposits", body)).code == "INVALID_REQUEST", body


async def test_a_field_that_is_named_twice_is_refused(exchange: Exchange) -> None:
    """Which of the two counts is not left to a parser, also when one of them is spelt with escapes."""
    alice = await exchange.user()
    for extra in ('"quantity":"0.2"', '"quantity":"0.1"', r'"\u0071uantity":"0.2"'):
        reply = await _post(alice, "/orders", f"{{{ORDER},{extra}}}")
        assert (reply.status, reply.code) == (400, "INVALID_ORDER")
    escaped = ORDER.replace('"quantity"', r'"\u0071uantity"')
    assert (await _post(alice, "/orders", f"{{{escaped}}}")).status == 202
    assert (await _post(alice, "/orders", f'{{{ORDER},"clientOrderId":"price"}}')).status == 202


async def test_a_slow_body_is_given_up(exchange: Exchange) -> None:
    """A client that stops in mid-body is answered 400 after the deadline; the connection does not stay."""
    alice = await exchange.user()
    received = await _raw(exchange.port, _order_bytes(alice)[:-10])
    assert received.startswith(b"HTTP/1.1 400")
    assert b"INVALID_REQUEST" in received


async def test_slow_headers_are_given_up(database: str) -> None:
    """A connection that never completes a request is closed after the keep-alive time."""
    exchange = await Exchange(database).start(keepalive_timeout_s=0.3)
    for beginning in (b"", b"GET /markets HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        assert await _raw(exchange.port, beginning) == b""
    await exchange.stop()


async def test_what_is_not_http_is_answered_in_our_words(exchange: Exchange) -> None:
    """The parser's refusals carry the contract's body and a request id too."""
    broken = [
        b"nonsense\r\n\r\n",
        b"GET /markets HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /markets HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
    for sent in broken:
        head, _, body = (await _raw(exchange.port, sent)).partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), (sent[:60], head)
        assert b"X-Request-Id: req-" in head
        assert b"aiohttp" not in head
        assert json.loads(body)["error"]["code"] == "INVALID_REQUEST"


async def test_broken_chunks_are_an_invalid_request(exchange: Exchange) -> None:
    """A chunk whose size is no number ends the connection with 400."""
    alice = await exchange.user()
    head = f"POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n".encode()
    sent = head + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    received = await _raw(exchange.port, sent)
    assert b" 400 " in received.split(b"\r\n")[0]


async def test_a_client_that_leaves_affects_nobody(exchange: Exchange) -> None:
    """Orders of clients that left before their answer are stored, and the next client is served."""
    alice = await exchange.user()
    for _ in range(5):
        await _raw(exchange.port, _order_bytes(alice), then_close=True)
    assert (await alice.order()).status == 202


async def test_pipelined_requests_are_answered_in_their_order(exchange: Exchange) -> None:
    """Ready-made and ordinary answers on one connection keep the order of the requests; the last one closes."""
    alice = await exchange.user()
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await _raw(exchange.port, _order_bytes(alice) * 3 + last)
    statuses = re.findall(rb"HTTP/1.1 (\d+)", received)
    assert statuses == [b"202", b"202", b"202", b"200"]
    assert received.count(b"X-Request-Id: ") == 4


async def test_a_client_of_http_1_0_is_answered_and_closed(exchange: Exchange) -> None:
    """The ready-made answer is for connections that stay open; others get an ordinary one."""
    alice = await exchange.user()
    received = await _raw(exchange.port, _order_bytes(alice).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert received.startswith(b"HTTP/1.0 202")
    received = await _raw(exchange.port, _order_bytes(alice, Connection="close"))
    assert received.startswith(b"HTTP/1.1 202")
    assert b"Connection: close" in received


async def test_expectations_are_met_or_passed_over(exchange: Exchange) -> None:
    """100-continue is answered before the body; an unknown expectation is no reason to fail."""
    alice = await exchange.user()
    received = await _raw(exchange.port, _order_bytes(alice, Expect="100-continue", Connection="close"))
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202")
    received = await _raw(exchange.port, _order_bytes(alice, Expect="a-cake", Connection="close"))
    assert received.startswith(b"HTTP/1.1 202")


async def test_unknown_paths_and_methods_are_answered_in_our_words(exchange: Exchange) -> None:
    """NOT_FOUND and METHOD_NOT_ALLOWED with Allow."""
    nobody = exchange.anonymous()
    for path in ("/nothing", "/orders/1/2", "/markets/", "/../etc/passwd", "/docs/../../pyproject.toml", "/%00"):
        reply = await nobody.get(path)
        assert (reply.status, reply.code) == (404, "NOT_FOUND"), path
    refused = await nobody.call("PATCH", "/orders")
    assert (refused.status, refused.code) == (405, "METHOD_NOT_ALLOWED")
    assert refused.headers["Allow"] == "DELETE,GET,HEAD,POST"


async def test_every_answer_carries_a_request_id_of_ours(exchange: Exchange) -> None:
    """Opaque, unique, ours: what a client sends is not echoed; errors name it in the body too."""
    alice = await exchange.user()
    replies = [
        await alice.call("GET", path, headers={"X-Request-Id": "mine"})
        for path in ("/markets", "/nothing", "/orders?x=1", "/docs", "/docs/docs.js", "/livez", "/balances")
    ]
    replies.append(await alice.order())
    ids = [reply.headers["X-Request-Id"] for reply in replies]
    assert len(set(ids)) == len(ids)
    assert "mine" not in ids
    assert replies[1].body["error"]["requestId"] == ids[1]
    assert {reply.headers["X-Content-Type-Options"] for reply in replies} == {"nosniff"}
    assert {reply.headers["Server"] for reply in replies} == {"perpetua"}
    cached = [reply.headers["Cache-Control"] for reply in replies]  # the pages hold nothing of a user
    assert cached == ["no-store"] * 3 + ["no-cache"] * 2 + ["no-store"] * 3
