"""A worker that was started with the DATA of a running exchange goes with it, and with its broker."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.local.attached_worker import EXIT_BROKER_GONE
from app.local.folder_lock import FolderLock
from app.local.run_record import RunRecord, forget_run_record, write_run_record

BROKER = "127.0.0.1:4711"
WORKER = """
import asyncio, signal, sys
from pathlib import Path
from app.local.attached_worker import work_attached

async def work():
    stopped = asyncio.Event()
    heard = stopped.set if sys.argv[3] == "obedient" else print
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard)
    print("at work", flush=True)
    await stopped.wait()
    print("stopped in order", flush=True)

asyncio.run(work_attached(work(), Path(sys.argv[1]), sys.argv[2]))
"""


@asynccontextmanager
async def a_worker(folder: Path, manner: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker attached to the exchange in the folder; ended with its test in any case."""
    words = (sys.executable, "-c", WORKER, str(folder), BROKER, manner)
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"at work\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def announce(folder: Path, broker: str) -> None:
    """The record that `run` writes about itself."""
    write_run_record(folder, RunRecord(1, "http://x", "postgresql://x", broker, "x", {}))


@pytest.mark.parametrize("event", ["stopped", "killed", "another broker"])
async def test_a_worker_ends_when_its_exchange_is_gone(tmp_path: Path, event: str) -> None:
    """In each way: stopped in order, killed with its record left over, moved to another broker. Not before, and by SIGTERM."""
    lock = FolderLock(tmp_path)
    await lock.acquire()
    announce(tmp_path, BROKER)
    async with a_worker(tmp_path, "obedient") as process:
        announce(tmp_path, BROKER)  # as whenever a part is started again
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 1.5)
        match event:
            case "stopped":
                forget_run_record(tmp_path)
            case "killed":
                lock.release()
            case _:
                announce(tmp_path, "127.0.0.1:4712")
        printed, _ = await asyncio.wait_for(process.communicate(), 20)
        assert (process.returncode, printed) == (EXIT_BROKER_GONE, b"stopped in order\n")
    lock.release()


async def test_a_worker_that_does_not_stop_is_ended(tmp_path: Path) -> None:
    """What waits for a broker that is gone need not react to a signal; the exit code is the same: it may be started again."""
    async with a_worker(tmp_path, "stubborn") as process:
        _, printed = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == EXIT_BROKER_GONE
        assert b"start it again" in printed
