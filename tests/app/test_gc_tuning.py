"""The cyclic collector of a process that works."""

import asyncio
import os
import sys
from pathlib import Path

from agents.worker.gc_tuning import OBJECTS_BEFORE_COLLECTION

REPOSITORY = Path(__file__).parents[2]
A_SOURCE_THAT_LOOKS = """
import asyncio, gc, os, signal
from app.compose import work_prices
from app.settings import load_settings

class Looking:
    name, market = "looking", "BTC-PERP"

    async def prices(self):
        print(gc.get_threshold()[0], gc.get_freeze_count() > 0, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        yield

asyncio.run(work_prices(load_settings(), [Looking()]))
"""


async def test_price_feeds_collect_seldom_too(database: str) -> None:
    """What a process is made of is frozen before it watches its first source, as with every other worker."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", A_SOURCE_THAT_LOOKS),
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": database},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert (process.returncode, printed.decode()) == (0, f"{OBJECTS_BEFORE_COLLECTION} True\n")
