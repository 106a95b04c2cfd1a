"""A child process that cannot outlive its parent, and facts about processes from the operating system."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from schemas.addresses import CannotListen, address_text

WITH_PARENT = Path(__file__).with_name("with_parent.py")
LOG_BYTES_MAX = 16 * 2**20


class ChildFailed(Exception):
    """A child did not start; each subclass says why."""


class PortTaken(Exception):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"another program listens on {address_text(host, port)}: stop it, or set another PORT")
        self.host = host
        self.port = port


class Child(Protocol):
    """A child under supervision: a process, or a server that runs as one."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""

    async def start(self) -> str:
        """Start it and wait until it serves; returns its address, or an empty string."""

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit code, negative for a signal."""

    async def stop(self) -> None:
        """Stop it in bounded time; does nothing when it does not run."""


@dataclass(frozen=True)
class Identity:
    """The user a child runs as; -1 keeps the current one."""

    uid: int = -1
    gid: int = -1


class BoundProcess:
    """One run of a command in a process group of its own, ended by the kernel when this process dies."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def spawn(  # each argument is one property of a process
        cls,
        command: list[str],
        *,
        output: IO[bytes] | int | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        identity: Identity | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> "BoundProcess":
        """Start `command`; `output` gets both its streams. `death_signal` is sent to it when this process dies first."""
        process = await asyncio.create_subprocess_exec(
            *bound_to_this_process(command, death_signal, identity),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT if output is not None else None,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches only this process, which stops the tree in order
        )
        return cls(process)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process.returncode is None else None

    @property
    def output(self) -> asyncio.StreamReader | None:
        """Its output, if `output` was a pipe."""
        return self._process.stdout

    async def wait(self) -> int:
        """Wait until it ends; returns the exit code, negative for a signal."""
        return await self._process.wait()

    async def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn and give it its seconds; then SIGKILL to the whole group."""
        for number, grace_s in steps:
            if self.pid is None:
                return
            self._process.send_signal(number)
            try:
                await asyncio.wait_for(asyncio.shield(self.wait()), grace_s)
            except TimeoutError:
                continue
            return
        if self.pid is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self.wait()


def bound_to_this_process(
    command: list[str], death_signal: signal.Signals, identity: Identity | None = None
) -> list[str]:
    """A command line for `command` that gets `death_signal` when the thread that starts it ends."""
    who = identity or Identity()
    wrapper = [sys.executable, "-I", "-S", str(WITH_PARENT), str(os.getpid()), str(int(death_signal))]
    return [*wrapper, str(who.uid), str(who.gid), *command]


def open_log(path: Path) -> IO[bytes]:
    """Open the log of a child for appending; one larger than LOG_BYTES_MAX is first renamed to `.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def tail_of(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_or_free(host: str, port: int) -> int:
    """The port if nobody listens there, else one that is free now."""
    try:
        check_port_is_free(host, port)
    except (CannotListen, OverflowError, PortTaken):
        return free_port()
    return port


def check_port_is_free(host: str, port: int) -> None:
    """Raise PortTaken when a program listens there: its answers could pass for those of the API. Port 0 means any free one."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, (address, _, *rest) in found:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore lingering connections
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port, *rest))  # getaddrinfo takes a port beyond 65,535 for a smaller one
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from error
        raise CannotListen(host, port, error) from error


def resident_bytes(pid: int) -> int:
    """The physical memory a process holds, in bytes; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def works_in(pid: int, folder: Path) -> bool:
    """Whether a running process has `folder` as its working directory: distinguishes the server from a reused process id."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
