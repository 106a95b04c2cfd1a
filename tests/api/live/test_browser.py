"""A page in a browser speaks with the socket."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from aiohttp import web

from tests.api.live.live_exchange import live_exchange
from tests.conftest import Broker

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
WITHIN_S = 60.0
PAGE = """<!doctype html><script type="module">
const {url, token, market} = await (await fetch("/what")).json();
const socket = new WebSocket(url), frames = [];
const send = (op, id, fields) => socket.send(JSON.stringify({op, id, ...fields}));
const tell = (told) => fetch("/told", {method: "POST", body: JSON.stringify(told)});
socket.onopen = () => {
  send("auth", 1, {token});
  send("subscribe", 2, {channel: "book", market});
  send("subscribe", 3, {channel: "orders"});
  send("order.place", 4, {marketId: market, side: "BUY", type: "LIMIT", quantity: "0.1", price: "60000"});
};
socket.onmessage = ({data}) => {
  const frame = JSON.parse(data);
  frames.push(frame);
  if (frame.id === 4) tell({placed: frame});
  if (frame.op === "update") { socket.close(1000); }
};
socket.onclose = ({code, wasClean}) => tell({frames, code, wasClean});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed: apt-get install chromium-headless-shell")
async def test_a_page_of_an_allowed_origin_trades_and_listens(broker: Broker, database: str, tmp_path: Path) -> None:
    """It authenticates, subscribes, places an order and sees it in the book; the closing handshake is clean."""
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    what: dict[str, str] = {}

    async def take(request: web.Request) -> web.Response:
        told.put_nowait(await request.json())
        return web.Response()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def say(_: web.Request) -> web.Response:
        return web.json_response(what)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/what", say), web.post("/told", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with live_exchange(broker, database, cors_origins=frozenset({origin})) as exchange:
            alice = await exchange.user("100000")
            what |= {"url": f"ws://127.0.0.1:{exchange.port}/ws", "token": alice.token or "", "market": exchange.first}
            browser = await _browser(origin, tmp_path)
            try:
                placed = await asyncio.wait_for(told.get(), WITHIN_S)
                assert placed["placed"]["status"] == 202, placed  # type: ignore[index]
                await exchange.step()
                seen = await asyncio.wait_for(told.get(), WITHIN_S)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)  # the command is a script, and the browser a child of it
                await browser.wait()
    finally:
        await site.stop()
        await runner.cleanup()
    assert (seen["code"], seen["wasClean"]) == (1000, True)
    by_op = {frame["op"]: frame for frame in seen["frames"]}  # type: ignore[attr-defined]
    assert by_op["update"]["bids"] == [["60000", "0.1"]]
    assert json.dumps(placed["placed"]) in map(json.dumps, seen["frames"])  # type: ignore[call-overload]


async def _browser(url: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"),
        *("--remote-debugging-port=0", url),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
