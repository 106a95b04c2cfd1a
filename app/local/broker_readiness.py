"""Waits for a broker that was just started: it is ready when it answers a client's metadata request."""

import asyncio
import signal
from pathlib import Path

from aiokafka.errors import KafkaError

from app.local.process import BoundProcess, ChildFailed, tail_of
from broker.topics import cluster_id

STOP_GRACE_S = 2.0


class BrokerFailed(ChildFailed):
    """A broker did not start; the end of its log says why."""

    def __init__(self, address: str, log_tail: str) -> None:
        super().__init__(f"the broker at {address} did not start:\n{log_tail}")
        self.address = address
        self.log_tail = log_tail


async def until_broker_answers(
    address: str, process: BoundProcess, expected_id: str, seconds: float, log: Path
) -> None:
    """Return when the cluster with this id answers; raises BrokerFailed when its process has ended or the time is up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while process.pid is not None and asyncio.get_running_loop().time() < deadline:
        if await _listens(address) and await _is_cluster(address, expected_id):
            return
        await asyncio.sleep(0.05)
    await process.end((signal.SIGTERM, STOP_GRACE_S))
    raise BrokerFailed(address, tail_of(log))


async def _listens(address: str) -> bool:
    """Try a plain connection first: aiokafka logs an error for every refused one."""
    host, port = address.rsplit(":", 1)
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


async def _is_cluster(address: str, expected_id: str) -> bool:
    try:
        return await cluster_id(address) == expected_id
    except (OSError, KafkaError):
        return False
