"""A worker's metrics over HTTP: one path on loopback, and no reason to stop working."""

import aiohttp

from app.metrics import metrics_served


async def test_figures_are_served_on_loopback_and_nothing_else_is() -> None:
    """A free port of this machine; every other path is unknown."""
    async with metrics_served("127.0.0.1", 0) as address, aiohttp.ClientSession(f"http://{address}") as session:
        async with session.get("/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "process_cpu_seconds_total" in await answer.text()
        async with session.get("/") as answer:
            assert answer.status == 404
        async with session.post("/metrics", data=b"x") as answer:
            assert answer.status == 405


async def test_who_finds_the_port_taken_works_without_being_seen() -> None:
    """Two workers with one METRICS_PORT: the second has no metrics address, and continues."""
    async with metrics_served("127.0.0.1", 0) as address:
        port = int(address.rpartition(":")[2])
        async with metrics_served("127.0.0.1", port) as second:
            assert second == ""
