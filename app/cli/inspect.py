"""Commands that inspect: is everything matched, do the sums hold, how is each market."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn

import asyncpg
import click
import msgspec

from app.cli.output import end_at_ctrl_c, json_option, show
from app.operator import audit_books, drain_markets, market_states, processes
from app.settings import load_settings, resolve_local
from app.unreachable import DATABASE_OUT_OF_REACH, unreachable

BEHIND_MAX_S = 10
WATCH_EVERY_S = 2.0


@click.command()
@click.option("--market", help="Only this market.")
@json_option
def drain(market: str | None, as_json: bool) -> None:
    """Wait until everything accepted so far is matched and persisted."""
    drained = asyncio.run(drain_markets(resolve_local(load_settings()), market))
    if drained is None:
        raise click.ClickException("not drained within 30 s")
    if market in drained.skipped:
        raise click.ClickException(f"{market} is not drained: the exchange has halted it")
    show([msgspec.to_builtins(row) for row in drained.markets], as_json)
    if drained.skipped:
        click.echo(f"skipped, halted by the exchange: {', '.join(drained.skipped)}", err=True)


@click.command()
@click.option("--deep", is_flag=True, help="Also recompute every fee, profit, position, funding and wallet.")
@json_option
def audit(deep: bool, as_json: bool) -> None:
    """Check every sum that must hold; exit 1 when one does not."""
    findings = asyncio.run(audit_books(resolve_local(load_settings()), is_deep=deep))
    show([finding._asdict() for finding in findings], as_json)
    if findings:
        sys.exit(1)
    if not as_json:
        click.echo("the books are balanced: conservation, sizes, wallets, margin sums and trades hold exactly")
        if deep:
            click.echo("recomputed from fills, fundings, ledger and prices: everything agrees to the micro")


@click.command()
@click.option("--workers", is_flag=True, help="The processes instead: where each runs, its metrics, and its markets.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@json_option
def status(workers: bool, watch: bool, as_json: bool) -> None:
    """Show every market at a glance; exit 1 when one has commands that have waited for more than 10 s."""
    settings = resolve_local(load_settings())
    look = partial(processes if workers else market_states, settings)
    if watch:
        _keep_showing(look, as_json)
    rows = asyncio.run(look())
    show(rows, as_json)
    if any(row.get("behind_s", 0) > BEHIND_MAX_S for row in rows):
        sys.exit(1)


def _keep_showing(look: Callable[[], Coroutine[None, None, list[dict[str, Any]]]], as_json: bool) -> NoReturn:
    """Show it until Ctrl-C; during a database outage, show the error."""
    end_at_ctrl_c()
    while True:
        try:
            rows, trouble = asyncio.run(look()), ""
        except (*DATABASE_OUT_OF_REACH, asyncpg.PostgresError) as error:
            rows, trouble = [], unreachable(error)
        if not as_json:
            click.clear()
            click.echo(f"{time.strftime('%H:%M:%S')}  {trouble}")
        show(rows, as_json)
        time.sleep(WATCH_EVERY_S)
