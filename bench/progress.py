"""Says which measure runs; only on a terminal."""

import sys
import time


class Progress:
    """The number of the running measure among all of them, in a line that its result replaces."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = 0
        self._began_s = time.monotonic()

    def begin(self, name: str) -> None:
        """Say that a measure starts."""
        self._begun += 1
        passed = divmod(int(time.monotonic() - self._began_s), 60)
        self._write(f"{name:<9} {self._begun} of {self._total}, after {passed[0]}:{passed[1]:02d} min")

    def clear(self) -> None:
        """Remove the line."""
        self._write("")

    def _write(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
