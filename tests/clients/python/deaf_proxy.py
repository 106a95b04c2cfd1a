"""A proxy that passes requests on and keeps answers to itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def swallowing_proxy(port: int, swallowed: int) -> AsyncIterator[str]:
    """Its URL. The answers on the first `swallowed` connections are lost, those on later ones arrive."""
    connections, tasks = 0, set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_deaf = connections <= swallowed
        from_exchange, to_exchange = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, to_exchange), (from_exchange, None if is_deaf else writer)):
            tasks.add(asyncio.create_task(_pass_on(source, target)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter | None) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65_536):
            if target is not None:
                target.write(piece)
                await target.drain()
    if target is not None:
        target.close()
