"""An outside consumer with nothing but docs/consume.md: its programs in a folder, run with its environment."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "consume.md"


def programs() -> dict[str, str]:
    """The guide's Python programs by the file name in their first line."""
    found = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return dict(found)


def commands(holding: str) -> list[str]:
    """The guide's shell blocks that hold a word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if holding in block]


class OutsideConsumer:
    """A folder with the guide's programs, and what one of them has kept."""

    def __init__(self, folder: Path, market: str, broker: str, url: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "KAFKA": broker, "URL": url, "MARKET": market, "BOOKS": str(self.books)}
        self._running: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        for name, text in programs().items():
            (folder / name).write_text(text)

    @property
    def books(self) -> Path:
        """The database of the guide's program."""
        return self.folder / "books.db"

    @property
    def log(self) -> str:
        """What the programs have printed."""
        return (self.folder / "log").read_text()

    def start(self, command: str) -> None:
        """Run one of the guide's `python3 …` lines."""
        words = command.split()
        assert words[0] == "python3"
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, *words[1:]], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    @property
    def has_ended(self) -> bool:
        """Whether the program that was started has exited."""
        return self._running is not None and self._running.poll() is not None

    def kill(self) -> None:
        """SIGKILL; harmless when nothing runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def shell(self, command: str, **environment: str) -> list[str]:
        """Run one of the guide's shell blocks; the lines it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        return done.stdout.decode().splitlines()

    def last(self) -> int:
        """The last sequence that is kept; 0 before the first."""
        if not self.books.exists():
            return 0
        with closing(sqlite3.connect(self.books, timeout=10)) as books:
            if not books.execute("SELECT 1 FROM sqlite_master WHERE name = 'place'").fetchone():
                return 0
            row = books.execute("SELECT sequence FROM place").fetchone()
            return int(row[0]) if row else 0

    def kept(self) -> list[dict[str, object]]:
        """Every fill that is kept, in the order it was kept in."""
        with closing(sqlite3.connect(self.books, timeout=10)) as books:
            return [json.loads(text) for (text,) in books.execute("SELECT fill FROM fills ORDER BY rowid")]
