"""How processes start, are signalled and fail: each failure names what failed, and a signal never ends one by surprise."""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from app.local.process import free_port, port_or_free
from app.settings import Misconfigured, load_settings, resolve_local
from schemas.addresses import address_text, local_address, local_url
from tests.app.test_settings import PRODUCTION
from tests.eventually import eventually, until_alive

ROOT = Path(__file__).parents[2]
Prepare = Callable[[], None]


async def _spawn(
    dsn: str, *arguments: str, prepare: Prepare | None = None, **changed: str
) -> asyncio.subprocess.Process:
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "DATABASE_URL": dsn, "BROKER_URL": "", **changed}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *arguments),
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=prepare or _from_a_terminal,
    )


def _from_a_terminal() -> None:
    """Undo what `nohup` or a background job has had the tests ignore."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@asynccontextmanager
async def _api(
    dsn: str, url: str, prepare: Prepare | None = None, **changed: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """An API process that answers at `url`; it must end well."""
    process = await _spawn(dsn, "api", prepare=prepare, **changed)
    try:
        await until_alive(url)
        yield process
    finally:
        with suppress(ProcessLookupError):  # not terminate(): it may reap the process before asyncio does
            os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


async def _failure(dsn: str, *arguments: str, **changed: str) -> tuple[int | None, str]:
    process = await _spawn(dsn, *arguments, **changed)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


async def test_a_taken_port_and_a_foreign_address_are_named(database: str) -> None:
    """Not "its database does not answer"."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = await _failure(database, "api", PORT=port)
        assert (code, f"127.0.0.1:{port}" in said, "database" in said.splitlines()[-1]) == (2, True, False)
    for host in ("192.0.2.7", "no.such.host.invalid"):
        code, said = await _failure(database, "api", PORT=str(free_port()), HTTP_HOST=host)
        assert (code, host in said, "database" in said.splitlines()[-1]) == (2, True, False)


async def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder's parent should be stops `run` with the path in its message, not with the database."""
    (tmp_path / "file").write_text("")
    code, said = await _failure("", "run", MODE="local", DATA=str(tmp_path / "file" / "data"))
    assert code in {1, 2}
    assert str(tmp_path / "file") in said
    assert "database does not answer" not in said


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
async def test_signals_of_the_system_stop_a_process_cleanly_or_not_at_all(
    database: str, number: signal.Signals
) -> None:
    """SIGUSR1 and SIGUSR2 change nothing; SIGHUP stops as SIGTERM does. No BROKER_URL is needed by an API."""
    port = free_port()
    async with _api(database, f"http://127.0.0.1:{port}", PORT=str(port)) as process:
        for ignored in (signal.SIGUSR1, signal.SIGUSR2):
            process.send_signal(ignored)
        await asyncio.sleep(0.3)
        assert process.returncode is None
        process.send_signal(number)
        assert await process.wait() == 0
        assert process.stderr is not None
        assert f"the API listens on 127.0.0.1:{port}" in (await process.stderr.read()).decode()


async def test_an_interrupt_stops_a_background_job(database: str) -> None:
    """A shell starts it with SIGINT ignored; who sends it one wants it to stop."""
    port = free_port()
    ignoring = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    async with _api(database, f"http://127.0.0.1:{port}", ignoring, PORT=str(port)) as process:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_nohup_is_respected(database: str) -> None:
    """A process that was started to ignore SIGHUP outlives its terminal."""
    port = free_port()
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    async with _api(database, f"http://127.0.0.1:{port}", ignoring, PORT=str(port)) as process:
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)
        assert process.returncode is None


async def test_an_empty_host_listens_on_both_families(database: str) -> None:
    """IPv4 and IPv6, on one port."""
    port = free_port()
    async with (
        _api(database, f"http://127.0.0.1:{port}", PORT=str(port), HTTP_HOST=""),
        aiohttp.ClientSession() as session,
        session.get(f"http://[::1]:{port}/livez") as answer,
    ):
        assert answer.status == 200


async def test_the_limit_of_open_files_is_raised_and_reaching_it_is_reported(database: str) -> None:
    """The soft limit becomes the hard one; when that is reached the log and a metric say so, and it recovers by itself."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))

    port = free_port()
    async with _api(database, f"http://127.0.0.1:{port}", limited, PORT=str(port)) as process:
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (128, 128)
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(140)]
        await asyncio.sleep(2.5)
        for _, writer in connections:
            writer.close()
        await asyncio.sleep(0.5)
        metrics = await eventually(lambda: _metrics(port))
        process.terminate()
        assert process.stderr is not None
        assert "all 128 files" in (await process.stderr.read()).decode()
    reached = [line for line in metrics.splitlines() if line.startswith("perpetua_api_file_limit_reached_total")]
    assert float(reached[0].split()[1]) >= 1


async def _metrics(port: int) -> str:
    """The metrics page; empty while connections are refused."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return await answer.text()
    except aiohttp.ClientError:
        return ""


def test_addresses_are_written_so_that_they_can_be_opened() -> None:
    """IPv6 in brackets; an address that means all is reached at loopback."""
    assert [address_text(host, 80) for host in ("127.0.0.1", "::1", "")] == ["127.0.0.1:80", "[::1]:80", "*:80"]
    hosts = ("127.0.0.1", "::1", "", "::", "0.0.0.0", "a.example")  # noqa: S104
    urls = ["http://127.0.0.1:1", "http://[::1]:1", "http://127.0.0.1:1", "http://[::1]:1", "http://127.0.0.1:1"]
    assert [local_url(host, 1) for host in hosts] == [*urls, "http://a.example:1"]
    assert [f"http://{local_address(host, 1)}" for host in hosts] == [local_url(host, 1) for host in hosts]


def test_a_port_that_cannot_be_had_is_replaced_by_a_free_one() -> None:
    """One that is taken, one of another machine's address, one that there is not."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = [("127.0.0.1", taken.getsockname()[1]), ("192.0.2.7", free_port()), ("127.0.0.1", 70_000)]
        for host, port in wanted:
            assert 0 < port_or_free(host, port) < 65_536
            assert port_or_free(host, port) != port
    free = free_port()
    assert port_or_free("127.0.0.1", free) == free


def test_only_what_uses_the_broker_asks_for_its_address() -> None:
    """And then by name."""
    settings = resolve_local(load_settings(PRODUCTION | {"BROKER_URL": ""}))
    with pytest.raises(Misconfigured, match="BROKER_URL"):
        _ = settings.broker_address
