"""`market …`: list the markets and change one through its own log."""

import asyncio
import time

import click

from app.cli.output import json_option, show
from app.settings import load_settings, reach
from schemas.commands import Command, IndexSet, StatusSet
from schemas.market import MarketStatus
from schemas.units import NANO_E18, Nanos, Timestamp, parse_whole_units


@click.group()
def market() -> None:
    """List markets, change their status, move their index."""


@market.command("list")
@json_option
def list_markets(as_json: bool) -> None:
    """Every market with its status, index and mark."""
    import msgspec

    from app.operator import markets_now

    views = asyncio.run(markets_now(reach(load_settings())))
    names = ("id", "status", "indexPrice", "markPrice", "tickSize", "lotSize", "maxLeverage")
    rows = [msgspec.to_builtins(view) for view in views]
    show(rows if as_json else [{name: row[name] for name in names} for row in rows], as_json)


@market.command()
@click.argument("name")
def halt(name: str) -> None:
    """Stop matching in a market; cancels go on."""
    _send(name, StatusSet(at=_now(), status=MarketStatus.HALTED))


@market.command("cancel-only")
@click.argument("name")
def cancel_only(name: str) -> None:
    """Take no new orders in a market."""
    _send(name, StatusSet(at=_now(), status=MarketStatus.CANCEL_ONLY))


@market.command()
@click.argument("name")
def resume(name: str) -> None:
    """Open a market for trading."""
    _send(name, StatusSet(at=_now(), status=MarketStatus.ACTIVE))


@market.command("set-index")
@click.argument("name")
@click.argument("price")
def set_index(name: str, price: str) -> None:
    """Move the constant index of a market that has no price sources (not in production)."""
    if not load_settings().is_local:
        raise click.UsageError("production takes no index by hand")
    index = parse_whole_units(price, NANO_E18)
    if not index:
        raise click.BadParameter("a positive decimal number with at most 9 decimals", param_hint="PRICE")
    _send(name, IndexSet(at=_now(), index=Nanos(index)))


def _send(name: str, command: Command) -> None:
    from app.operator import command_market

    if not asyncio.run(command_market(reach(load_settings()), name, command)):
        raise click.ClickException(f"there is no market {name}, or it did not answer within 10 s")


def _now() -> Timestamp:
    return Timestamp(time.time_ns() // 1_000)
