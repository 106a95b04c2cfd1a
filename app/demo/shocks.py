"""Shocks: files in DATA by which the command line lets a price of the running demo jump."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

FOLDER = "shocks"


class Shock(msgspec.Struct, frozen=True):
    """A market's price jumps by so many parts per million."""

    market: str
    by_ppm: int


def leave_shock(data: Path, shock: Shock) -> None:
    """Put a shock where the demo looks for it; whole, or not at all."""
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{time.time_ns()}.{os.getpid()}"
    fresh.write_bytes(msgspec.json.encode(shock))
    fresh.rename(fresh.with_suffix(".json"))


def take_shocks(data: Path) -> Iterator[Shock]:
    """The shocks that were left since, oldest first; each is taken once, a file that is none is thrown away."""
    for path in sorted((data / FOLDER).glob("*.json")):
        body = path.read_bytes()
        path.unlink()
        try:
            yield msgspec.json.decode(body, type=Shock)
        except msgspec.DecodeError:
            continue
