"""What the command line knows of the terminal: its width, whether it shows colours, and how far a long command is."""

import os
import shutil
import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

SHOWN_EVERY_S = 0.1


def width() -> int | None:
    """The columns that a line may take: `COLUMNS`, else those of the terminal; None where no terminal limits them."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def colour() -> bool | None:
    """Whether to print colours, for click: never with `NO_COLOR`, else only on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


class ProgressLine:
    """Says on standard error how far each stage of a command is; only on a terminal, so that logs stay clean.

    A call is cheap: between the first and the last step of a stage, it is shown ten times a second at most.
    """

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._stage: tuple[str, int] | None = None
        self._bars = ExitStack()
        self._shown_at_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of a stage are done."""
        if not self._is_shown or total <= 0:
            return
        if self._stage != (stage, total):
            self._begin(stage, total)
        now_s = time.monotonic()
        if done >= total or now_s - self._shown_at_s >= SHOWN_EVERY_S:
            self._shown_at_s = now_s
            self._bar.update(done - self._bar.pos)

    def _begin(self, stage: str, total: int) -> None:
        """End the line of the stage before, and begin one."""
        self._bars.close()
        self._stage, self._shown_at_s = (stage, total), 0.0
        bar: ProgressBar[int] = click.progressbar(
            length=total, label=stage, file=sys.stderr, width=0, show_pos=True, color=colour()
        )
        self._bar = self._bars.enter_context(bar)
