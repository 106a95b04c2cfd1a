"""The security headers of every answer, wherever it was made: a route, a refusal, the ready-made 202, the parser, a page."""

import asyncio

from tests.api.exchange import Client, Exchange

EVERYWHERE = {
    "Server": "perpetua",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


async def _answers(alice: Client) -> dict[str, dict[str, str]]:
    """Headers of answers of every making."""
    replies = {
        path: await alice.get(path)
        for path in ("/markets", "/balances", "/nothing", "/orders?x=1", "/livez", "/docs", "/docs/docs.js", "/metrics")
    }
    replies["202"] = await alice.order()
    replies["401"] = await Client(alice.session, alice.url).get("/balances")
    replies["405"] = await alice.call("PATCH", "/orders")
    answers = {name: dict(reply.headers) for name, reply in replies.items()}
    answers["parser"] = await _refused_by_the_parser(int(alice.url.rpartition(":")[2]))
    return answers


async def _refused_by_the_parser(port: int) -> dict[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"nonsense\r\n\r\n")
    head = (await reader.read()).partition(b"\r\n\r\n")[0].decode()
    writer.close()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


async def test_no_answer_may_be_sniffed_stored_framed_or_followed(exchange: Exchange) -> None:
    """Each carries the whole set, once; nothing gives the server's name or version away."""
    for name, headers in (await _answers(await exchange.user())).items():
        is_page = name in {"/docs", "/docs/docs.js"}  # nothing of a user is in it: it may be kept
        assert (EVERYWHERE | ({"Cache-Control": "no-cache"} if is_page else {})).items() <= headers.items(), name
        assert "default-src 'none'" in headers["Content-Security-Policy"], name
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], name
        assert "Strict-Transport-Security" not in headers, name
        assert not any(word in str(headers).lower() for word in ("aiohttp", "python", "x-powered-by")), name


async def test_behind_tls_browsers_get_hsts(database: str) -> None:
    """Strict-Transport-Security only where the operator says that TLS is in front of us."""
    exchange = await Exchange(database).start(is_behind_tls=True)
    answers = await _answers(await exchange.user())
    assert {headers.get("Strict-Transport-Security") for headers in answers.values()} == {"max-age=31536000"}
    await exchange.stop()
