"""`tail`: the records of a documented topic from any sequence, one per line, as a consumer of the topic reads them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import click

from agents.fills.record_kinds import ALL_KINDS, R, RecordKind
from app.cli.output import end_at_ctrl_c
from app.cli.screen.completion import MARKET
from app.operator import records_from
from app.settings import Settings, load_settings, resolve_local
from app.unreachable import DATABASE_OUT_OF_REACH, unreachable
from store.session.connect import is_outage

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
