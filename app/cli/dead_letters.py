"""`dlq …`: records that the matching agents could not read or apply."""

import asyncio
import sys

import click
import msgspec

from app.cli.output import json_option, show
from app.cli.screen.commands import Commands
from app.cli.sending import reason_option
from app.operator import dead_letters, retry_dead_letters
from app.settings import load_settings, resolve_local

TEXT_CHARACTERS = 60


@click.group(cls=Commands)
def dlq() -> None:
    """Dead letters: records that took no sequence, and commands that broke the engine and were undone."""


@dlq.command("list")
@json_option
def list_dead_letters(as_json: bool) -> None:
    """List every dead letter, oldest first."""
    rows = []
    for dead_letter in asyncio.run(dead_letters(resolve_local(load_settings()))):
        text = dead_letter.value.decode(errors="backslashreplace")
        row = msgspec.structs.asdict(dead_letter) | {"value": text if as_json else text[:TEXT_CHARACTERS]}
        rows.append(row if as_json else {name: row[name] for name in ("id", "reason", "detail", "size_bytes", "value")})
    show(rows, as_json, empty="no dead letters")


@dlq.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@reason_option
@json_option
def retry(ids: tuple[str, ...], reason: str | None, as_json: bool) -> None:
    """Have the relay resend commands that can be read now and are still missing; exit 1 when a named letter stays unsettled.

    Without an ID, every letter. It is safe to repeat: answered commands stay as they are.
    """
    outcomes = asyncio.run(retry_dead_letters(resolve_local(load_settings()), ids, reason))
    rows = [msgspec.to_builtins(outcome) for outcome in outcomes]
    show(rows, as_json, empty="no dead letter to retry")
    unknown = set(ids) - {outcome.id for outcome in outcomes}
    for letter_id in sorted(unknown):
        click.echo(f"there is no dead letter {letter_id}", err=True)
    if unknown or (ids and not all(outcome.result.is_settled for outcome in outcomes)):
        sys.exit(1)
