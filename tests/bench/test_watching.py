"""What the bench says of processes: their time is complete, whatever of them ends meanwhile."""

import asyncio
import sys

import psutil

from bench.watching import processor_s
from tests.eventually import eventually

WORK_S = 0.3
TICKS_S = 0.05
"""Linux counts processor time in ticks of 10 ms, for each of the processes."""
_PARENT = f"""
import subprocess, sys
work = "import time\\nwhile time.process_time() < {WORK_S}: pass\\nprint('done', flush=True); input()"
subprocess.run([sys.executable, "-c", work])
input()
"""


async def test_the_time_of_a_process_that_has_ended_stays_in_the_sum() -> None:
    """A session of PostgreSQL that ends within a peak took its time along: the peak had cost less than nothing."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    try:
        await parent.stdout.readline()
        working = processor_s(parent.pid)
        assert working > WORK_S / 2
        children = psutil.Process(parent.pid).children
        parent.stdin.write(b"\n")
        await eventually(lambda: not children())
        assert processor_s(parent.pid) >= working - TICKS_S
    finally:
        parent.stdin.close()  # or a child that is left would keep the pipes open, and the wait would not end
        parent.kill()
        await parent.wait()
    assert processor_s(parent.pid) == 0
