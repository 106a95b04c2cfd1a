"""How listings are printed: a table for people, JSON for programs."""

import os
import signal
import textwrap
from collections.abc import Callable, Mapping, Sequence

import click
import orjson

from app.cli.screen.table import GAP, Table
from app.cli.screen.terminal import colour, width
from schemas.market import MarketStatus

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells define it."""
Paint = Callable[[Mapping[str, object], str], str | None]
"""The colour of a column's value in a row; None for none."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def end_at_ctrl_c() -> None:
    """Make Ctrl-C end this process immediately and silently; for read-only commands that run until then.

    KeyboardInterrupt can be lost: when it is raised in a finalizer, or while an event loop re-raises another exception.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def show(
    rows: Sequence[Mapping[str, object]],
    as_json: bool,
    *,
    empty: str,
    columns: Sequence[str] = (),
    paint: Paint = lambda _row, _name: None,
) -> None:
    """Print rows that have the same keys; without any, people read the sentence `empty`.

    People see `columns` (default: all), the most important first: what has no room on the terminal is left out from the end,
    and named.
    """
    if as_json:
        click.echo(orjson.dumps([dict(row) for row in rows], option=orjson.OPT_INDENT_2, default=str).decode())
    elif rows:
        _show_table(rows, columns or list(rows[0]), paint)
    else:
        click.echo(empty)


def say(text: str, fg: str | None = None) -> None:
    """Print a sentence, coloured on a terminal."""
    click.echo(_painted(text, fg), color=colour())


def remark(text: str, fg: str | None = None) -> None:
    """Print a sentence below a table, wrapped to its width."""
    for line in textwrap.wrap(text, width() or len(text), break_on_hyphens=False):
        say(line, fg)


def status_colour(row: Mapping[str, object], name: str) -> str | None:
    """The colour of a market's status: red when it is halted, yellow when it does not take every order."""
    if name != "status":
        return None
    return {MarketStatus.ACTIVE: None, MarketStatus.HALTED: "red"}.get(MarketStatus(str(row[name])), "yellow")


def _show_table(rows: Sequence[Mapping[str, object]], names: Sequence[str], paint: Paint) -> None:
    table = Table(names, [[_text(row[name]) for name in names] for row in rows], width())
    for cells in table.lines():
        painted = (
            _painted(cell.text, paint(rows[cell.row - 1], names[cell.column]) if cell.row else None) for cell in cells
        )
        click.echo((" " * GAP).join(painted).rstrip(), color=colour())
    if table.left_out:
        remark(f"no room for {', '.join(table.left_out)}: use a wider terminal, or --json")


def _painted(text: str, fg: str | None) -> str:
    """The text in a colour, its padding without."""
    bare = text.rstrip()
    return text if fg is None or not bare else click.style(bare, fg=fg, bold=fg == "red") + text[len(bare) :]


def _text(value: object) -> str:
    """The text of a cell; a control character, which a foreign record may hold, is escaped: it could move the cursor."""
    text = "-" if value is None else str(value)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
