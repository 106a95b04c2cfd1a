"""One process tree per DATA folder: a lock that the kernel releases however its holder ends."""

import asyncio
import fcntl
import os
from pathlib import Path

ATTEMPTS = 20
ATTEMPT_EVERY_S = 0.05


class FolderTaken(Exception):
    """Another tree runs on this folder."""

    def __init__(self, folder: Path, holder_pid: int) -> None:
        super().__init__(f"another exchange (process {holder_pid}) runs on {folder}: stop it, or set another DATA")
        self.folder = folder
        self.holder_pid = holder_pid


class FolderLock:
    """An exclusive lock on a folder; children do not inherit it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1

    async def acquire(self) -> None:
        """Lock the folder, creating it if missing; FolderTaken after a second of trying."""
        self._file = _open(self._folder)
        for _ in range(ATTEMPTS):
            if _locks(self._file, fcntl.LOCK_EX):
                os.truncate(self._file, 0)
                os.pwrite(self._file, str(os.getpid()).encode(), 0)
                return
            await asyncio.sleep(
                ATTEMPT_EVERY_S
            )  # a `status` may hold it for a moment, or the last holder may be ending
        holder = os.pread(self._file, 20, 0)
        self.release()
        raise FolderTaken(self._folder, int(holder or b"0"))

    @property
    def is_held(self) -> bool:
        """Whether the folder is ours."""
        return self._file >= 0

    def release(self) -> None:
        """Release the folder; does nothing when it is not locked."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_taken(folder: Path) -> bool:
    """Whether a tree runs on this folder now."""
    if not (folder / "lock").exists():
        return False
    file = _open(folder)
    try:
        return not _locks(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _open(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locks(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
