"""Apache Kafka on this machine, from Python wheels: one KRaft node on free ports of 127.0.0.1.

Durability: a record is acknowledged when it is in the page cache, so killing any process loses nothing, and a power cut
loses at most the last second of a log (`log.flush.interval.ms`). That is safe because no log is the only copy: a lost
command is relayed again from the outbox, lost events and fills are written again by the same commands, and for a lost
snapshot there is an older one. Kafka truncates a torn tail when it starts.
"""

import base64
import hashlib
import os
import shutil
import signal
import uuid
from pathlib import Path

from app.local.broker_readiness import BrokerFailed, until_broker_answers
from app.local.kafka_heap import DEFAULT_HEAP
from app.local.kafka_jars import Report, fetch_jars
from app.local.kafka_jvm import cache_path, java_command
from app.local.process import BoundProcess, free_port, open_log, resident_bytes, tail_of

READY_TIMEOUT_S = 90.0
STOP_GRACE_S = 10.0
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.min.session.timeout.ms": "2000",  # a standby takes over from a frozen owner in 4 to 5 s
    "group.initial.rebalance.delay.ms": "0",
    "metadata.max.idle.interval.ms": "0",  # nobody measures how far a replica of the metadata lags: there is none
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "1000",  # after a kill, the time until the controller readmits the node
    "message.max.bytes": str(2 * 2**20),
    "log.retention.hours": "168",
    "log.segment.bytes": str(64 * 2**20),
    "log.cleaner.threads": "1",
    "log.cleaner.backoff.ms": "5000",
    "log.cleaner.dedupe.buffer.size": str(8 * 2**20),  # 300,000 keys at a time; a book has a few hundred
    "log.flush.interval.ms": "1000",
    "log.flush.scheduler.interval.ms": "1000",
    "log.index.interval.bytes": str(32 * 2**10),  # the first entry after a flush costs page faults
    "log.index.size.max.bytes": str(32 * 2**10),  # a segment needs no more; the first entry reads ahead as much
    "num.network.threads": "2",
    "num.io.threads": "4",
}
FEATURES = "bootstrap.checkpoint"
LOGGING = """rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
"""


class LocalKafka:
    """One node on one data folder: its records, groups and cluster id persist across starts; its ports last as long as this object.

    `heap` is the maximum heap of its JVM, as in `-Xmx`; `options` are extra JVM options. `report` gets the progress of a
    long first start.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        heap: str = DEFAULT_HEAP,
        options: tuple[str, ...] | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self._folder = data_dir.expanduser().resolve()
        self._log = self._folder / "kafka.log"
        self._port = port or free_port()
        self._controller_port = free_port()
        self._heap = heap
        self._options = options
        self._report = report
        self._process: BoundProcess | None = None
        self.cluster_id = ""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def memory_bytes(self) -> int:
        """The physical memory it holds, in bytes."""
        return resident_bytes(self.pid) if self.pid is not None else 0

    async def start(self) -> str:
        """Fetch the jars and format the folder at the first start, then serve; returns the bootstrap address.

        Raises FetchFailed and BrokerFailed.
        """
        jars = await fetch_jars(report=self._report)
        self._write_settings()
        self.cluster_id = self._known_cluster_id() or await self._format(jars)
        address = f"127.0.0.1:{self._port}"
        self._process = await self._java(jars, "kafka.Kafka", str(self._settings))
        await until_broker_answers(address, self._process, self.cluster_id, READY_TIMEOUT_S, self._log)
        return address

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Shut down cleanly, or kill it after the grace period; the records stay."""
        if self._process:
            await self._process.end((signal.SIGTERM, STOP_GRACE_S))

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    def _write_settings(self) -> None:
        broker, controller = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._controller_port}"
        addresses = {
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._folder / "log"),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in (SETTINGS | addresses).items()))
        (self._folder / "log4j2.properties").write_text(LOGGING)

    def _known_cluster_id(self) -> str:
        """The id the folder was formatted with; empty at the first start."""
        properties = self._folder / "log" / "meta.properties"
        lines = properties.read_text().splitlines() if properties.exists() else []
        return next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), "")

    async def _format(self, jars: Path) -> str:
        """What Kafka's tool writes into an empty folder: the ids, and the features that the cluster begins with.

        Only the ids differ, so the tool runs once, and its file of features is kept with the jars.
        """
        cluster_id, log = _random_id(), self._folder / "log"
        kept = jars / f"features-{hashlib.sha256(repr(SETTINGS).encode()).hexdigest()[:16]}.checkpoint"
        if not kept.exists():
            await self._run_format_tool(jars, cluster_id)
            _copy_in_one_step(log / FEATURES, kept)
            return cluster_id
        log.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, log / FEATURES)
        ids = {"cluster.id": cluster_id, "directory.id": _random_id(), "node.id": SETTINGS["node.id"], "version": "1"}
        (log / "meta.properties").write_text("".join(f"{name}={value}\n" for name, value in ids.items()))
        return cluster_id

    async def _run_format_tool(self, jars: Path, cluster_id: str) -> None:
        command = ["kafka.tools.StorageTool", "format", "--config", str(self._settings), "--cluster-id", cluster_id]
        tool = await self._java(jars, *command)
        if await tool.wait() != 0:
            raise BrokerFailed(str(self._folder), tail_of(self._log))

    async def _java(self, jars: Path, *arguments: str) -> BoundProcess:
        options = self._cache_options(jars) if self._options is None else self._options
        command = java_command(self._folder, jars, list(arguments), heap=self._heap, options=options)
        with open_log(self._log) as log:
            return await BoundProcess.spawn(command, output=log, cwd=self._folder)

    def _cache_options(self, jars: Path) -> tuple[str, ...]:
        cache = cache_path(jars, self._heap)
        return (f"-XX:AOTCache={cache}",) if cache.exists() else ()


def _random_id() -> str:
    """An id as Kafka writes them, which does not begin with a dash."""
    return base64.urlsafe_b64encode(b"\x01" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _copy_in_one_step(source: Path, target: Path) -> None:
    fresh = target.with_suffix(f".{os.getpid()}")
    shutil.copyfile(source, fresh)
    fresh.replace(target)
