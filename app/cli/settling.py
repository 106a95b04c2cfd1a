"""`market settle`: the end of a market, in two steps that are never undone."""

import asyncio

import click

from app.cli.screen.completion import MARKET
from app.cli.sending import send
from app.operator import now, settlement_of
from app.settings import Settings, load_settings, resolve_local
from schemas.commands import SetStatus
from schemas.market import MarketStatus
from store.queries.operations.settlement import Settlement

FIRST, LAST = MarketStatus.SETTLEMENT_ONLY, MarketStatus.SETTLED


@click.command()
@click.argument("name", type=MARKET)
@click.option("--final", "is_final", is_flag=True, help="The second step: SETTLED, every position is closed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def settle(name: str, is_final: bool, yes: bool) -> None:
    """End a market permanently, in two steps: SETTLEMENT_ONLY, and later with --final SETTLED; says first what it will do."""
    settings = resolve_local(load_settings())
    before = asyncio.run(settlement_of(settings, name))
    wanted = LAST if is_final else FIRST
    if before.status is wanted:
        click.echo(_result(name, before))
        return
    if before.status is LAST:
        raise click.ClickException(f"{name} is SETTLED already")
    if is_final and before.status is not FIRST:
        raise click.ClickException(
            f"{name} is {before.status}: run `market settle {name}` first, and give its traders time to close their positions"
        )
    click.echo(_last_step(name, before) if is_final else _first_step(name, before))
    if not yes:
        click.confirm("This cannot be undone. Continue?", abort=True)
    _set_status(settings, name, wanted)


def _first_step(name: str, found: Settlement) -> str:
    return (
        f"{name} becomes SETTLEMENT_ONLY: it accepts only reduce-only orders from now on, and {found.opening_orders} of its"
        f" {found.orders} resting and waiting orders are cancelled, those that are not reduce-only. {_held(found)} open; funding and"
        f" liquidations continue.\nSettled now, they would be closed at {_price(found)}."
    )


def _last_step(name: str, found: Settlement) -> str:
    return (
        f"{name} becomes SETTLED and never trades again: its {found.orders} resting and waiting orders are cancelled.\n"
        f"{_held(found)} closed without a fee at {_price(found)}."
    )


def _held(found: Settlement) -> str:
    verb = "is" if found.positions == 1 else "are"
    noun = "position" if found.positions == 1 else "positions"
    return f"{found.positions} {noun} (open interest {found.open_interest}) {verb}"


def _price(found: Settlement) -> str:
    source = f"the mean of the index at the last {found.minutes} sampled minutes" if found.minutes else "the index"
    stale = "; its price sources are below their quorum, so these minutes are over" if found.is_frozen else ""
    return f"{found.price}, {source}{stale}"


def _set_status(settings: Settings, name: str, wanted: MarketStatus) -> None:
    send(settings, name, SetStatus(at=now(), status=wanted))
    after = asyncio.run(settlement_of(settings, name))
    click.echo(_result(name, after))
    if after.status is not wanted:
        raise SystemExit(1)


def _result(name: str, found: Settlement) -> str:
    if found.status is not LAST:
        return f"{name} is {found.status}"
    at = f"its positions were closed at {found.settled_price}" if found.settled_price else "no position was open"
    return f"{name} is SETTLED: {at}"
