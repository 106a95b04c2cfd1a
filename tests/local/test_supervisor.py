"""The process tree of a local exchange: restarted, ended in order, never orphaned, one per folder."""

import asyncio
import errno
import itertools
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.local.folder_lock import FolderTaken, is_taken
from app.local.run_record import read_run_record
from app.local.supervisor import Supervisor
from app.local.worker import Worker
from tests.eventually import eventually

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]
REPOSITORY = Path(__file__).resolve().parents[2]
TREE = """
import asyncio, sys
from pathlib import Path
from app.local.kafka import LocalKafka
from app.local.postgres import EmbeddedPostgres
from app.local.supervisor import Supervisor
from app.local.worker import Worker

async def main(folder):
    supervisor = Supervisor(folder)
    await supervisor.take_folder()
    dsn = await supervisor.add("postgres", EmbeddedPostgres(folder / "postgres"), tier=0)
    address = await supervisor.add("broker", LocalKafka(folder / "kafka"), tier=0)
    await supervisor.add("worker", Worker("worker", [sys.executable, "-c", "import time; time.sleep(600)"]))
    supervisor.announce(url="http://x", database_url=dsn, broker_url=address, cluster_id="c", session_timeout_s=3)
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _exists(path: Path) -> Callable[[], Awaitable[bool]]:
    return lambda: asyncio.to_thread(path.exists)


async def test_a_full_disk_ends_no_supervision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of run.json that cannot be written is reported; the child is still started again, now and the next time."""
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.take_folder()
    await supervisor.add("worker", Worker("worker", FOREVER))
    supervisor.announce(url="http://127.0.0.1:1", database_url="d", broker_url="b", cluster_id="c", session_timeout_s=3)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def another(pid: int) -> int:
        now = supervisor.pids.get("worker", pid)
        return now if now != pid else 0

    try:
        first = supervisor.pids["worker"]
        with monkeypatch.context() as patch:
            patch.setattr("app.local.supervisor.write_run_record", fail)
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: any("No space left on device" in line for line in said))
        second = await eventually(lambda: another(first))
        os.kill(second, signal.SIGKILL)
        third = await eventually(lambda: another(second))
        await eventually(lambda: (record := read_run_record(tmp_path)) and record.children == {"worker": third})
    finally:
        await supervisor.stop()


async def test_a_killed_child_runs_again_and_the_record_names_it(tmp_path: Path) -> None:
    """kill -9 of a worker: another process takes its place, run.json has its id, and the operator reads both."""
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.take_folder()
    await supervisor.add("worker", Worker("worker", FOREVER))
    supervisor.announce(url="http://127.0.0.1:1", database_url="d", broker_url="b", cluster_id="c", session_timeout_s=3)
    try:
        first = supervisor.pids["worker"]
        assert json.loads((tmp_path / "run.json").read_text()) == {
            "pid": os.getpid(),
            "url": "http://127.0.0.1:1",
            "databaseUrl": "d",
            "brokerUrl": "b",
            "clusterId": "c",
            "children": {"worker": first},
            "sessionTimeoutS": 3,
        }
        os.kill(first, signal.SIGKILL)

        def another() -> int:
            record = read_run_record(tmp_path)
            pid = record.children.get("worker", first) if record else first
            return pid if pid != first else 0

        fresh = await eventually(another)
        assert _is_alive(fresh)
        assert [line[:4].isdecimal() and line[19:] for line in said] == [  # after the date and the time
            f"  worker (process {first}) was killed by SIGKILL",
            f"  worker was started again (process {fresh})",
        ]
    finally:
        await supervisor.stop()
    assert not (tmp_path / "run.json").exists()


async def test_a_child_is_started_again_although_nobody_reads_the_reports(tmp_path: Path) -> None:
    """`make run | head`: the pipe is gone when the child dies."""

    def gone(_: str) -> None:
        raise BrokenPipeError

    supervisor = Supervisor(tmp_path, gone)
    await supervisor.take_folder()
    await supervisor.add("worker", Worker("worker", FOREVER))
    try:
        first = supervisor.pids["worker"]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pids.get("worker", first) != first)
    finally:
        await supervisor.stop()


async def test_a_child_that_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    """Starts come 0.2, 0.4, 0.8 s apart: each pause is longer than the one before."""
    starts = tmp_path / "starts"
    script = f"import time; print(time.monotonic(), file=open({str(starts)!r}, 'a'))"
    supervisor = Supervisor(tmp_path / "tree")
    await supervisor.take_folder()
    await supervisor.add("mayfly", Worker("mayfly", [sys.executable, "-c", script]))
    try:
        await eventually(lambda: starts.exists() and len(starts.read_text().splitlines()) >= 4)
    finally:
        await supervisor.stop()
    times = [float(line) for line in starts.read_text().splitlines()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.4
    assert pauses[2] >= 0.8


async def test_the_highest_tier_ends_first_and_an_obstinate_child_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The api goes before the engine; a child that ignores SIGTERM gets SIGKILL after its grace."""
    monkeypatch.setattr("app.local.worker.STOP_GRACE_S", 0.3)
    ended = tmp_path / "ended"
    polite = (
        "import signal, sys, time\n"
        f"def end(*_): print(sys.argv[1], file=open({str(ended)!r}, 'a')); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"print(sys.argv[1], file=open({str(tmp_path)!r} + '/up-' + sys.argv[1], 'w'))\n"
        "time.sleep(600)"
    )
    deaf = polite.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    supervisor = Supervisor(tmp_path / "tree")
    await supervisor.take_folder()
    for name, tier, script in (("api", 2, polite), ("engine", 1, polite), ("deaf", 1, deaf)):
        worker = Worker(name, [sys.executable, "-c", script, name])
        await supervisor.add(name, worker, tier=tier, requires_ready=_exists(tmp_path / f"up-{name}"))
    pids = supervisor.pids
    await supervisor.stop()
    assert ended.read_text().split() == ["api", "engine"]
    assert not any(_is_alive(pid) for pid in pids.values())


async def test_no_orphan_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor alone: database, broker and worker end on their own, and the folder is free again."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    tree = await asyncio.create_subprocess_exec(sys.executable, "-c", TREE, str(tmp_path), env=environment)
    record = await eventually(lambda: read_run_record(tmp_path))
    assert record is not None
    assert set(record.children) == {"postgres", "broker", "worker"}
    assert all(_is_alive(pid) for pid in record.children.values())
    tree.kill()
    await tree.wait()
    await eventually(lambda: not any(_is_alive(pid) for pid in record.children.values()))
    assert not is_taken(tmp_path)
    assert read_run_record(tmp_path) is None


async def test_a_second_tree_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two trees would write one database: the second reports who holds the folder, and may use it afterwards."""
    first, second = Supervisor(tmp_path), Supervisor(tmp_path)
    await first.take_folder()
    first.announce(url="http://x", database_url="d", broker_url="b", cluster_id="c", session_timeout_s=3)
    with pytest.raises(FolderTaken, match=str(os.getpid())):
        await second.take_folder()
    await second.stop()
    assert read_run_record(tmp_path) is not None, "the second removed what the first says of itself"
    await first.stop()
    await second.take_folder()
    await second.stop()


async def test_the_output_of_a_child_carries_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of a child come out on our stderr after its name, the unfinished last one too."""
    worker = Worker("teller", [sys.executable, "-c", "import sys; sys.stdout.write('one\\ntwo')"])
    await worker.start()
    assert await worker.wait() == 0
    assert capsys.readouterr().err.splitlines() == ["teller       one", "teller       two"]


async def test_a_child_with_a_log_file_writes_there(tmp_path: Path) -> None:
    """Given a log file, both its streams go there."""
    worker = Worker(
        "teller", [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"], log=tmp_path / "l"
    )
    await worker.start()
    assert await worker.wait() == 0
    assert sorted((tmp_path / "l").read_text().split()) == ["err", "out"]
