"""`tail`: the fills of a market, one a line, from any sequence on; what a consumer of the stream would have read."""

import asyncio

import click

from app.cli.output import end_at_ctrl_c
from app.operator import fills_from
from app.settings import load_settings, reach
from schemas.fills import encode_fill

POLL_S = 0.2


@click.command()
@click.option("--market", required=True, help="The market.")
@click.option("--from-sequence", type=click.IntRange(min=1), default=1, show_default=True, help="The first fill.")
@click.option("--follow", is_flag=True, help="Go on with the fills that come.")
def tail(market: str, from_sequence: int, follow: bool) -> None:
    """Print fills as the stream tells them, one JSON a line, also those from before a lost broker."""
    if follow:
        end_at_ctrl_c()
    asyncio.run(_tail(market, from_sequence, follow))


async def _tail(market: str, sequence: int, follow: bool) -> None:
    settings = reach(load_settings())
    while True:
        async for fill in fills_from(settings, market, sequence):
            click.echo(encode_fill(fill))
            sequence = fill.sequence + 1
        if not follow:
            return
        await asyncio.sleep(POLL_S)
