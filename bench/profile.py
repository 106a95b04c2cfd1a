"""What a stage spends its time on: `make profile STAGE=api` (or relay, engine, projection).

Starts a whole exchange, loads it with 32 closed-loop clients, samples the stage's process with py-spy for PROFILE_S
seconds, and prints the functions by their own and by their total share of the time in which Python ran (waiting is left
out; C code counts for the line that called it). The flame graph goes to .local/profile/STAGE.svg.
"""

import asyncio
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.load.job import ROOT
from bench.whole import load_on, users_of, whole_exchange

SHOWN = 40
WARM_UP_S = 3.0
PY_SPY = Path(sys.executable).with_name("py-spy")


async def profile(stage: str, seconds: float) -> None:
    """Load, look, print."""
    target = ROOT / ".local" / "profile"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="perpetua-profile-") as folder:
        async with whole_exchange(Path(folder)) as exchange:
            users = await users_of(exchange, 256, "profile")
            loading = asyncio.create_task(load_on(exchange, users, seconds=2 * seconds + 4 * WARM_UP_S, connections=32))
            await asyncio.sleep(WARM_UP_S)
            pid = exchange.children()[stage]
            await _record(pid, seconds, "flamegraph", target / f"{stage}.svg")
            await _record(pid, seconds, "raw", target / f"{stage}.txt")
            report = await loading
    print(
        f"{stage}: {report.accepted / report.seconds:.0f} orders/s accepted while profiling (py-spy slows the stage down)"
    )
    _print_shares((target / f"{stage}.txt").read_text())


async def _record(pid: int, seconds: float, how: str, target: Path) -> None:
    asked = (
        str(PY_SPY),
        "record",
        "-p",
        str(pid),
        "-d",
        f"{seconds:.0f}",
        "-r",
        "200",
        "--function",
        "--gil",
        "-f",
        how,
        "-o",
        str(target),
    )
    process = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise SystemExit("py-spy could not look into the process: it needs root or CAP_SYS_PTRACE")


def _print_shares(stacks: str) -> None:
    """From `frame;frame;frame count` lines: the share of each function itself, and with all it calls."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        names = frames.split(";")
        own[names[-1]] += int(count)
        whole.update(dict.fromkeys(names, int(count)))
    total = max(1, own.total())
    for title, counted in (("by itself", own), ("with what it calls", whole)):
        print(f"\n{title}")
        for name, samples in counted.most_common(SHOWN):
            print(f"{100 * samples / total:6.1f} %  {name}")


if __name__ == "__main__":
    wanted = os.environ.get("STAGE") or "api"
    asyncio.run(profile(wanted, float(os.environ.get("PROFILE_S") or 10)))
