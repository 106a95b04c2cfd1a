"""Commands run on a terminal: a pseudo-terminal of a given width, and what they have written to it."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RED = re.compile(r"\x1b\[31m(?:\x1b\[1m)?([^\x1b]*)\x1b\[0m")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass
class Shown:
    """What a command wrote to its terminal, escape sequences included, and how it ended."""

    raw: str
    exit_code: int
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = _CONTROL.sub("", self.raw).replace("\r\n", "\n").splitlines()

    @property
    def is_coloured(self) -> bool:
        """Whether any of it has a colour."""
        return bool(_COLOUR.search(self.raw))

    @property
    def red(self) -> list[str]:
        """What is red."""
        return _RED.findall(self.raw)


async def on_terminal(words: Sequence[str], columns: int, environment: Mapping[str, str], *, typed: str = "") -> Shown:
    """Run `python -m app …` on a terminal of so many columns; `typed` is what its user answers."""
    return await program_on_terminal([sys.executable, "-m", "app", *words], columns, environment, typed=typed)


async def program_on_terminal(
    command: Sequence[str], columns: int, environment: Mapping[str, str], *, typed: str = ""
) -> Shown:
    """Run a program on a terminal, its three standard streams."""
    return await asyncio.to_thread(_run, list(command), columns, dict(environment), typed)


def _run(command: list[str], columns: int, environment: dict[str, str], typed: str) -> Shown:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=inherited | {"TERM": "xterm"} | environment,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    os.write(ours, typed.encode())
    written = bytearray()
    with suppress(OSError):  # the terminal is closed when the last program has left it
        while block := os.read(ours, 65_536):
            written += block
    os.close(ours)
    return Shown(written.decode(), process.wait())
