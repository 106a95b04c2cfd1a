"""`tail`: the fills of a market from any sequence, one per line, as a consumer of the stream reads them."""

import asyncio
from collections.abc import AsyncIterator

import click

from app.cli.output import end_at_ctrl_c
from app.cli.screen.completion import MARKET
from app.operator import fills_from
from app.settings import Settings, load_settings, resolve_local
from app.unreachable import DATABASE_OUT_OF_REACH, unreachable
from schemas.fills import PublicFill, encode_fill
from store.session.connect import is_outage

POLL_S = 0.2


@click.command()
@click.option("--market", type=MARKET, required=True, help="The market.")
@click.option("--from-sequence", type=click.IntRange(min=1), default=1, show_default=True, help="The first fill.")
@click.option("--follow", is_flag=True, help="Continue with new fills, through outages too.")
def tail(market: str, from_sequence: int, follow: bool) -> None:
    """Print fills as in the stream, one JSON object per line, including those from before a lost broker."""
    if follow:
        end_at_ctrl_c()
    asyncio.run(_tail(market, from_sequence, follow))


async def _tail(market: str, sequence: int, follow: bool) -> None:
    settings = resolve_local(load_settings())
    fills = _followed(settings, market, sequence) if follow else fills_from(settings, market, sequence)
    is_empty = True
    async for fill in fills:
        click.echo(encode_fill(fill))
        is_empty = False
    if is_empty:
        click.echo(f"{market} has no fills from sequence {sequence}", err=True)


async def _followed(settings: Settings, market: str, sequence: int) -> AsyncIterator[PublicFill]:
    """The fills from a sequence, then new ones; a database outage is reported once and waited out."""
    is_reported = False
    while True:
        try:
            async for fill in fills_from(settings, market, sequence):
                yield fill
                sequence = fill.sequence + 1
            is_reported = False
        except DATABASE_OUT_OF_REACH as error:
            if not is_outage(error):
                raise
            if not is_reported:
                click.echo(f"waiting at sequence {sequence}: {unreachable(error)}", err=True)
            is_reported = True
        await asyncio.sleep(POLL_S)
