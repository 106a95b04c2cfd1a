"""Disaster recovery: verify that every log, snapshot and row agrees, and rebuild after the loss of the broker."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec
import orjson

from app.cli.output import json_option, say, show
from app.cli.screen.completion import MARKET
from app.cli.screen.terminal import ProgressLine
from app.cli.sending import reason_option
from app.operator import keep_report, record_rebuild
from app.settings import load_settings, resolve_local

if TYPE_CHECKING:
    from agents.verify import Report


@click.command()
@click.option("--market", type=MARKET, required=True, help="The market to replay.")
@json_option
def verify(market: str, as_json: bool) -> None:
    """Replay a market's log and compare events, hashes, snapshots and rows; exit 1 when anything differs."""
    from app.compose import verify_market
    from broker.errors import LogMismatch
    from exchange.errors import UnknownRules

    try:
        with ProgressLine() as progress:
            settings, began = resolve_local(load_settings()), time.monotonic()
            report = asyncio.run(verify_market(settings, market, progress))
            asyncio.run(keep_report(settings, market, report, round((time.monotonic() - began) * 1_000)))
    except (LogMismatch, UnknownRules) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report), option=orjson.OPT_INDENT_2).decode())
    else:
        _print(report)
    if report.differences_found:
        sys.exit(1)


def _print(report: "Report") -> None:
    for subject, expected, found in report.differences:
        say(f"{subject}: expected {expected}, found {found}", "red")
    verdict = f"{report.differences_found} differences" if report.differences_found else "nothing differs"
    say(
        f"{report.market}: {verdict}; replayed from {report.horizon} to command {report.to_command}, event"
        f" {report.to_event}; compared {report.commands} commands, {report.events} events, {report.snapshots} snapshots,"
        f" {report.orders} orders, {report.fills} fills, {report.positions} positions",
        "red" if report.differences_found else None,
    )
    if report.skipped_records:
        click.echo(f"{report.skipped_records} records of the logs are not ours and were passed")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
def rebuild(yes: bool, reason: str | None) -> None:
    """Continue with an empty broker after the whole broker was lost; no worker may run. Prints where each market continues."""
    from agents.rebuild import RebuildRefused
    from app.compose import prepare_topics, rebuild_markets

    settings = resolve_local(load_settings())
    if not yes:
        click.confirm(f"Abandon the old broker permanently and continue with {settings.broker_url}?", abort=True)
    try:
        asyncio.run(prepare_topics(settings))
        with ProgressLine() as progress:
            moved = asyncio.run(rebuild_markets(settings, progress))
    except RebuildRefused as error:
        raise click.ClickException(error.reason) from error
    asyncio.run(record_rebuild(settings, moved, reason))
    show([each._asdict() for each in moved], as_json=False, empty="no market is listed: there was nothing to rebuild")
