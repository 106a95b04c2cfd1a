"""The nginx example of docs/operate: orders pass through it, also while one of its two API processes stops."""

import asyncio
import shutil
from pathlib import Path

import aiohttp
import pytest

from app.local.process import free_port
from bench.load.generator import make_traders, send_orders
from tests.api.exchange import Exchange
from tests.eventually import until_alive

EXAMPLE = Path(__file__).parents[2] / "docs" / "operate" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_orders_pass_through_the_nginx_example(database: str, tmp_path: Path) -> None:
    """Every order is answered 202 by one of two API processes, also when one stops; idle connections give no 502."""
    one, two = Exchange(database), Exchange(database)
    await one.start(readiness_grace_s=0.5, idle_grace_s=1.0)
    await two.start()
    port = free_port()
    text = EXAMPLE.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    text = text.replace("127.0.0.1:9421", f"127.0.0.1:{one.server.port}")
    text = text.replace("127.0.0.1:9422", f"127.0.0.1:{two.server.port}")
    folders = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ access_log off; {folders} {text} }}"
    )
    nginx = await asyncio.create_subprocess_exec(str(NGINX), "-c", str(config), "-g", "daemon off;")
    url = f"http://127.0.0.1:{port}"
    try:
        await until_alive(url, within_s=10)
        async with aiohttp.ClientSession() as outside, outside.get(f"{url}/metrics") as answer:
            assert answer.status == 404
        traders = await make_traders(url, 4)
        sending = asyncio.create_task(send_orders(url, traders, 200))
        await asyncio.sleep(0.1)
        await one.stop()
        outcomes = [await sending, await send_orders(url, traders, 40)]
        assert [(outcome.cut, set(outcome.statuses)) for outcome in outcomes] == [(0, {202}), (0, {202})]
    finally:
        nginx.terminate()
        await nginx.wait()
        await two.stop()
