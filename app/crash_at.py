"""CRASH_AT: kills the process at named points of the code, `point[:N],…`: at the Nth pass, once per point.

A point that was hit leaves the file DATA/crashed/POINT and does nothing while that file exists, so the process that the
supervisor starts next survives. Removing the file arms the point again.
"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from store.crash_points import CrashPoint, arm

FOLDER = "crashed"


def read_crash_at(text: object) -> object:
    """Parse the setting into {point: pass number}; ValueError for an unknown point or a count below 1."""
    if not isinstance(text, str):
        return text
    return dict(_read_one(part.strip()) for part in text.split(",") if part.strip())


def arm_crash_points(points: Mapping[CrashPoint, int], data: Path) -> None:
    """Arm these points in this process; without any, there is no cost."""
    for point, at_pass in points.items():
        arm(point, _dying_at(at_pass, crash_mark(data, point)))


def crash_mark(data: Path, point: CrashPoint) -> Path:
    """The file that marks `point` as hit; it holds the process id of the process that died there."""
    return data / FOLDER / point


def _read_one(part: str) -> tuple[CrashPoint, int]:
    name, _, count = part.partition(":")
    at_pass = int(count or "1")
    if at_pass < 1:
        raise ValueError(part)
    return CrashPoint(name), at_pass


def _dying_at(at_pass: int, mark: Path) -> Callable[[], None]:
    passes = 0

    def die_when_due() -> None:
        nonlocal passes
        if mark.exists():
            return
        passes += 1
        if passes >= at_pass:
            _die(mark)

    return die_when_due


def _die(mark: Path) -> None:
    """Die as in a power cut: no handler runs, nothing is flushed."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)
