"""The embedded PostgreSQL: durable, private, and healed after every kind of end."""

import os
import signal
from pathlib import Path

import asyncpg
import psycopg
import pytest

from app.local.postgres import EmbeddedPostgres
from app.local.postgres_account import ForeignFolder, give_folder
from app.local.process import Identity, free_port, works_in
from tests.eventually import eventually


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of this file, which the first start makes. A test goes on with what the test before has left."""
    return tmp_path_factory.mktemp("postgres") / "pg"


async def _execute(dsn: str, statement: str) -> None:
    session = await asyncpg.connect(dsn)
    await session.execute(statement)
    await session.close()


async def _answer(dsn: str, query: str) -> object:
    session = await asyncpg.connect(dsn)
    try:
        return await session.fetchval(query)
    finally:
        await session.close()


async def test_rows_survive_a_kill_and_a_stop_and_the_address_stays(data: Path) -> None:
    """What was committed is there after kill -9 of the server and after a clean stop, at the same DSN."""
    server = EmbeddedPostgres(data)
    dsn = await server.start()
    await _execute(dsn, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL

    assert await server.start() == dsn
    assert await _answer(dsn, "SELECT sum(n) FROM kept") == 1
    await _execute(dsn, "INSERT INTO kept VALUES (2)")
    await server.stop()
    assert server.pid is None
    assert not server.socket_dir.exists()

    again = EmbeddedPostgres(data)
    assert await again.start() == dsn
    assert await _answer(dsn, "SELECT sum(n) FROM kept") == 3
    await again.stop()


async def test_a_left_over_server_of_a_killed_tree_is_ended_first(data: Path) -> None:
    """A second start on the same folder ends the server that still runs there, and serves in its place."""
    forgotten = EmbeddedPostgres(data)
    await forgotten.start()
    old_pid = forgotten.pid
    server = EmbeddedPostgres(data)
    dsn = await server.start()
    try:
        assert await forgotten.wait() == 0
        assert server.pid != old_pid
        await forgotten.stop()  # takes nothing from under the other
        assert await _answer(dsn, "SELECT 1") == 1
    finally:
        await server.stop()


async def test_a_stale_lock_with_a_reused_process_id_does_not_hinder(data: Path) -> None:
    """postmaster.pid may name a process that is not PostgreSQL by now; it lives on and the server starts."""
    server = EmbeddedPostgres(data)
    await server.start()
    lock = (data / "postmaster.pid").read_text()
    await server.stop()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock.splitlines()[1:]]))
    dsn = await server.start()
    try:
        assert await _answer(dsn, "SELECT 1") == 1
    finally:
        await server.stop()


async def test_it_is_durable_and_listens_on_no_tcp_port_unless_asked(tmp_path: Path) -> None:
    """fsync and synchronous commits are on, and no commit waits for a large segment; only a unix socket is there, below its length limit."""
    server = EmbeddedPostgres(tmp_path / ("long" * 40) / "pg")
    dsn = await server.start()
    try:
        with psycopg.connect(dsn) as session:
            settings: dict[str, str] = dict(session.execute("SELECT name, setting FROM pg_settings").fetchall())
        assert (settings["fsync"], settings["synchronous_commit"]) == ("on", "on")
        assert settings["wal_segment_size"] == str(4 * 2**20)
        assert settings["listen_addresses"] == ""
        assert len(str(server.socket_dir / ".s.PGSQL.5432")) < 107
        assert server.socket_dir.stat().st_mode & 0o077 == 0
    finally:
        await server.stop()


async def test_a_tcp_port_is_on_loopback_alone(data: Path) -> None:
    """Asked for a TCP port, it listens on 127.0.0.1 and nowhere else."""
    port = free_port()
    server = EmbeddedPostgres(data, tcp_port=port)
    dsn = await server.start()
    try:
        assert await _answer(dsn, "SHOW listen_addresses") == "127.0.0.1"
        assert await _answer(f"postgresql://perpetua@127.0.0.1:{port}/perpetua", "SELECT 1") == 1
    finally:
        await server.stop()


async def test_a_link_in_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    """An attacker with a link in place of our socket folder could sit between us and our server."""
    folder = tmp_path / "socket"
    folder.mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(ForeignFolder):
        give_folder(link, Identity())


async def test_works_in_distinguishes_our_server_from_others(data: Path) -> None:
    """A process is ours when it works in the data folder; we ourselves do not."""
    server = EmbeddedPostgres(data)
    await server.start()
    pid = server.pid
    assert pid is not None
    assert works_in(pid, data)
    assert not works_in(os.getpid(), data)
    await server.stop()
    await eventually(lambda: not works_in(pid, data))
