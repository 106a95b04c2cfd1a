import asyncio

from bench.load_job import Job, Kind, Report, run_load

ORDER = b'{"marketId":"BTC-PERP"}'


def _job(port: int, kind: Kind, **changes: object) -> Job:
    usual: dict[str, object] = {"seconds": 0.3, "connections": 4, "tokens": ["t"], "orders": [ORDER]}
    return Job("127.0.0.1", port, kind, **(usual | changes))


async def test_a_closed_loop_sends_until_its_time_is_up(bare_port: int) -> None:
    """Every request is answered, counted and timed."""
    report = await run_load(_job(bare_port, Kind.CLOSED))
    assert set(report.statuses) == {"order 202"}
    assert report.accepted == len(report.latencies_ms["order 202"]) == sum(report.per_second) > 4
    assert report.seconds >= 0.3


async def test_an_open_loop_sends_as_many_as_its_rate_asks_for(bare_port: int) -> None:
    """The number of requests follows from rate and time alone."""
    report = await run_load(_job(bare_port, Kind.OPEN, rate=100, seconds=0.5, keeps_orders=True))
    assert report.accepted == 50
    assert set(report.orders) == {"BTC-PERP-1"}


async def test_a_stalled_server_is_paid_for_by_every_order_that_was_due() -> None:
    """Latency counts from when an order was due, not from when a connection was free for it."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"}"):
            await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    report = await run_load(_job(port, Kind.OPEN, rate=20, seconds=0.2, connections=1))
    server.close()
    slowest = sorted(report.latencies_ms["order 202"])
    assert len(slowest) == 4
    assert slowest[-1] > 2 * slowest[0] >= 2 * 200


async def test_a_cut_connection_is_told() -> None:
    """No answer is no acceptance."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    report: Report = await run_load(_job(server.sockets[0].getsockname()[1], Kind.CLOSED))
    server.close()
    assert (report.accepted, report.cut) == (0, 4)
