"""Shocks: files in DATA with which the command line makes a price of the running demo jump."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

FOLDER = "shocks"


class Shock(msgspec.Struct, frozen=True):
    """A jump of a market's price, in parts per million."""

    market: str
    by_ppm: int


def leave_shock(data: Path, shock: Shock) -> None:
    """Write a shock for the demo to read, atomically."""
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{time.time_ns()}.{os.getpid()}"
    fresh.write_bytes(msgspec.json.encode(shock))
    fresh.rename(fresh.with_suffix(".json"))


def take_shocks(data: Path) -> Iterator[Shock]:
    """The pending shocks, oldest first; each is read once, and a malformed file is deleted."""
    for path in sorted((data / FOLDER).glob("*.json")):
        body = path.read_bytes()
        path.unlink()
        try:
            yield msgspec.json.decode(body, type=Shock)
        except msgspec.DecodeError:
            continue
