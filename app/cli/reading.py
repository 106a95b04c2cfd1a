"""What the exchange keeps, for others.

`tail`: the records of a documented topic from any sequence, one per line, as a consumer of the topic reads them. `export`: fills,
orders, ledger or funding of one account, or of all, as a file.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from agents.fills.record_kinds import ALL_KINDS, R, RecordKind
from app.cli.accounts import WHO
from app.cli.output import end_at_ctrl_c
from app.cli.screen.completion import MARKET
from app.cli.screen.terminal import ProgressLine
from app.operator import records_from
from app.settings import Settings, load_settings, resolve_local
from app.unreachable import DATABASE_OUT_OF_REACH, unreachable
from schemas.units import Timestamp, timestamp_of
from store.queries.paging import ListRequest
from store.session.connect import is_outage

KINDS = ("fills", "orders", "ledger", "funding")
FORMATS = ("csv", "ndjson", "parquet")
_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
POLL_S = 0.2
_KINDS = {f"{kind.name}s": kind for kind in ALL_KINDS}


@click.command()
@click.option("--market", type=MARKET, required=True, help="The market.")
@click.option("--topic", type=click.Choice([*_KINDS]), default="fills", show_default=True, help="Which records.")
@click.option("--from-sequence", type=click.IntRange(min=1), default=1, show_default=True, help="The first record.")
@click.option("--follow", is_flag=True, help="Continue with new records, through outages too.")
def tail(market: str, topic: str, from_sequence: int, follow: bool) -> None:
    """Print records as in their topic, one JSON object per line, including those from before a lost broker."""
    if follow:
        end_at_ctrl_c()
    asyncio.run(_tail(_KINDS[topic], market, from_sequence, follow))


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--user", "who", metavar=WHO, help="Whose rows.")
@click.option("--all", "is_all", is_flag=True, help="The rows of all accounts.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="csv", show_default=True, help="Of the file.")
@click.option("--from", "since", type=_DAY, help="Only rows of this time (UTC) and later.")
@click.option("--to", "until", type=_DAY, help="Only rows from before this time (UTC).")
@click.option("--output", type=click.File("wb"), default="-", help="The file; default: standard output.")
def export(
    kind: str,
    who: str | None,
    *,
    is_all: bool,
    format_: str,
    since: datetime | None,
    until: datetime | None,
    output: BinaryIO,
) -> None:
    """Write the rows of one account, or of all, to a file: by account, then oldest first, each row once."""
    if (who is None) != is_all:
        raise click.UsageError("give either --user or --all")
    from app.exports.rows import export_rows
    from app.exports.writers import ParquetMissing

    settings, asked = resolve_local(load_settings()), ListRequest(from_=_time(since), to=_time(until))
    try:
        with ProgressLine() as advance:
            rows = asyncio.run(export_rows(settings, kind, who, asked, (output, format_), advance))
    except ParquetMissing as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{rows} rows", err=True)


async def _tail(kind: RecordKind[Any], market: str, sequence: int, follow: bool) -> None:
    settings = resolve_local(load_settings())
    records = (_followed if follow else records_from)(settings, kind, market, sequence)
    is_empty = True
    async for record in records:
        click.echo(kind.encode(record))
        is_empty = False
    if is_empty:
        click.echo(f"{market} has no {kind.name}s from sequence {sequence}", err=True)


async def _followed(settings: Settings, kind: RecordKind[R], market: str, sequence: int) -> AsyncIterator[R]:
    """The records from a sequence, then new ones; a database outage is reported once and waited out."""
    is_reported = False
    while True:
        try:
            async for record in records_from(settings, kind, market, sequence):
                yield record
                sequence = record.sequence + 1
            is_reported = False
        except DATABASE_OUT_OF_REACH as error:
            if not is_outage(error):
                raise
            if not is_reported:
                click.echo(f"waiting at sequence {sequence}: {unreachable(error)}", err=True)
            is_reported = True
        await asyncio.sleep(POLL_S)


def _time(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else timestamp_of(moment.replace(tzinfo=UTC))
