"""`market …`: list the markets and change one through its own log."""

import asyncio

import click
import msgspec

from app.cli.output import json_option, show
from app.operator import command_market, markets_now, now
from app.settings import load_settings, reach
from schemas.commands import Command, IndexSet, RulesSet, StatusSet
from schemas.market import INDEX_MAX, MarketStatus
from schemas.rest import MarketView
from schemas.units import NANO_E18, Nanos, parse_whole_units
from schemas.wire import RULES_VERSION


@click.group()
def market() -> None:
    """List markets, change their status, their index, their rules version."""


@market.command("list")
@json_option
def list_markets(as_json: bool) -> None:
    """Every market with its status, index and mark."""
    views = asyncio.run(markets_now(reach(load_settings())))
    names = ("id", "status", "rules", "indexPrice", "markPrice", "tickSize", "lotSize", "maxLeverage")
    rows = [msgspec.to_builtins(view) for view in views]
    show(rows if as_json else [{name: row[name] for name in names} for row in rows], as_json)


@market.command()
@click.argument("name")
def halt(name: str) -> None:
    """Stop matching in a market; cancels go on."""
    _set_status(name, MarketStatus.HALTED)


@market.command("cancel-only")
@click.argument("name")
def cancel_only(name: str) -> None:
    """Take no new orders in a market."""
    _set_status(name, MarketStatus.CANCEL_ONLY)


@market.command()
@click.argument("name")
def resume(name: str) -> None:
    """Open a market for trading."""
    _set_status(name, MarketStatus.ACTIVE)


@market.command("set-index")
@click.argument("name")
@click.argument("price")
def set_index(name: str, price: str) -> None:
    """Move the constant index of a market that has no price sources (not in production)."""
    if not load_settings().is_local:
        raise click.UsageError("production takes no index by hand")
    index = parse_whole_units(price, NANO_E18)
    if not index or index > INDEX_MAX:
        what = "a positive decimal number, at most 10^9, with at most 9 decimals"
        raise click.BadParameter(what, param_hint="PRICE")
    _send(name, IndexSet(at=now(), index=Nanos(index)))


@market.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1, RULES_VERSION))
def rules(name: str, version: int) -> None:
    """Move a market on to a rules version, once every process runs code that knows it; there is no way back."""
    _send(name, RulesSet(at=now(), rules=version))
    view = _view(name)
    click.echo(f"{name} has rules {view.rules}")
    if view.rules != version:
        raise SystemExit(1)


def _set_status(name: str, wanted: MarketStatus) -> None:
    """Ask for a status; a market never goes back to an earlier stage, so the answer is the status then in force."""
    _send(name, StatusSet(at=now(), status=wanted))
    view = _view(name)
    click.echo(f"{name} is {view.status}")
    if view.status is not wanted:
        raise SystemExit(1)


def _view(name: str) -> MarketView:
    return next(view for view in asyncio.run(markets_now(reach(load_settings()))) if view.id == name)


def _send(name: str, command: Command) -> None:
    if not asyncio.run(command_market(reach(load_settings()), name, command)):
        raise click.ClickException(f"{name} did not answer within 10 s")
