"""How listings are printed: a table for people, JSON for programs."""

import os
import signal
from collections.abc import Mapping, Sequence

import click
import orjson

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells define it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def end_at_ctrl_c() -> None:
    """Make Ctrl-C end this process immediately and silently; for read-only commands that run until then.

    KeyboardInterrupt can be lost: when it is raised in a finalizer, or while an event loop re-raises another exception.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def show(rows: Sequence[Mapping[str, object]], as_json: bool) -> None:
    """Print rows that have the same keys."""
    if as_json:
        click.echo(orjson.dumps([dict(row) for row in rows], option=orjson.OPT_INDENT_2, default=str).decode())
        return
    if not rows:
        return
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    return "-" if value is None else str(value)
