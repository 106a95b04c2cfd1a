import asyncio

from bench.load.job import Job, Kind, Report, run_load

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


async def test_a_cut_connection_is_reported() -> None:
    """No answer is no acceptance."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    report: Report = await run_load(_job(server.sockets[0].getsockname()[1], Kind.CLOSED))
    server.close()
    assert (report.accepted, report.cut) == (0, 4)


async def test_every_second_request_of_a_connection_cancels_its_last_order() -> None:
    """So nothing piles up; why a request was refused is counted too."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while request := (await reader.readuntil(b"\r\n\r\n")).decode():
            asked.append(request.split(" HTTP/")[0])
            if request.startswith("POST"):
                await reader.readexactly(len(ORDER))
                number += 1
                status, body = "202 Accepted", b'{"orderId":"BTC-PERP-%d"}' % number
            else:
                status, body = "409 Conflict", b'{"error":{"code":"ORDER_NOT_OPEN"}}'
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    report = await run_load(
        _job(server.sockets[0].getsockname()[1], Kind.CLOSED, connections=1, count=4, cancel_every=2)
    )
    server.close()
    assert asked == ["POST /orders", "DELETE /orders/BTC-PERP-1", "POST /orders", "DELETE /orders/BTC-PERP-2"]
    assert report.statuses == {"order 202": 2, "cancel 409": 2}
    assert report.codes == {"cancel ORDER_NOT_OPEN": 2}
