"""How listings are printed: a table for people, JSON for programs."""

import os
import signal
from collections.abc import Mapping, Sequence

import click
import orjson

INTERRUPTED = 130
"""The exit code of what Ctrl-C has ended, as shells have it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def end_at_ctrl_c() -> None:
    """Have Ctrl-C end this process at once and without a word; for what only looks, and goes on until then.

    An exception for it can be lost: where it comes in a finalizer, or while an event loop hands on another one.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def show(rows: Sequence[Mapping[str, object]], as_json: bool) -> None:
    """Print rows that share their keys."""
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
