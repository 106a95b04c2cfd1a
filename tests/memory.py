"""Folders in memory for databases of tests, and what is left of those when a run is killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
MEMORY_FREE_MIN = 2 * 2**30
_PREFIX = "perpetua-tests-"


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder for the block, in memory, where a database is made in a third of the time; on disk when there is no room."""
    remove_left_over(MEMORY)
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN
    with folder_of_this_run(MEMORY if has_room else None) as folder:
        yield folder


@contextmanager
def folder_of_this_run(place: Path | None = None) -> Iterator[Path]:
    """A folder for the block, named after this process; not in pytest's, which a second run closes to other accounts."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=place) as folder:
        yield Path(folder)


def remove_left_over(place: Path) -> None:
    """Remove the folders of processes that have ended without removing them."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)  # another run may be removing it too
