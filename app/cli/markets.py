"""`market …`: list markets, add one, and change one through its log."""

import asyncio
from pathlib import Path

import click
import msgspec

from app.cli.market_sources import sources
from app.cli.output import json_option, show, status_colour
from app.cli.screen.commands import Commands
from app.cli.screen.completion import MARKET
from app.cli.sending import reason_option, send
from app.cli.settling import settle
from app.market_file import MarketFileRefused, read_market_changes, read_market_file
from app.operator import index_sources, markets_now, now, plan_change
from app.operator import place as place_in_shard
from app.settings import load_settings, resolve_local
from schemas.commands import SetIndex, SetRules, SetSpec, SetStatus
from schemas.market import INDEX_MAX, MarketSpec, MarketStatus
from schemas.rest.markets import MarketView
from schemas.units import NANO_E18, Nanos, format_micros, format_ppm, parse_whole_units
from schemas.wire import RULES_VERSION
from store.markets.placement import BadShard
from store.markets.registry import MarketRefused
from store.markets.spec_changes import SpecChangeRefused


@click.group(cls=Commands)
def market() -> None:
    """List markets, add one, change its status, risk tiers, price sources, index or rules version, and end it."""


market.add_command(sources)
market.add_command(settle)


@market.command("list")
@json_option
def list_markets(as_json: bool) -> None:
    """List every market with its status, index and mark."""
    views = asyncio.run(markets_now(resolve_local(load_settings())))
    names = ("id", "status", "rules", "indexPrice", "markPrice", "tickSize", "lotSize", "maxLeverage")
    show(
        [msgspec.to_builtins(view) for view in views],
        as_json,
        empty="no market is listed",
        columns=names,
        paint=status_colour,
    )


@market.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(file: Path) -> None:
    """List the market that a JSON file describes (docs/prices.md), with its topics; in production it is CANCEL_ONLY."""
    from app.compose import add_market

    settings = resolve_local(load_settings())
    try:
        spec = read_market_file(file.read_bytes())
        is_running = asyncio.run(add_market(settings, spec))
    except (MarketFileRefused, MarketRefused) as error:
        raise click.UsageError("; ".join(error.faults)) from error
    if not is_running:
        raise click.ClickException(f"{spec.market} is listed, but no worker processed it within 10 s")
    click.echo(f"{spec.market} is {_view(spec.market).status}")


@market.command()
@click.argument("names", type=MARKET, nargs=-1, required=True)
@click.option("--shard", help="The shard; without it, each market gets one of its own, named after it.")
def place(names: tuple[str, ...], shard: str | None) -> None:
    """Move markets to a shard: its workers take them over within a second, and other markets do not notice."""
    try:
        placed = asyncio.run(place_in_shard(resolve_local(load_settings()), names, shard))
    except BadShard as error:
        raise click.BadParameter(str(error), param_hint="--shard") from error
    for name in names:
        click.echo(f"{name} is in shard {placed[name]}")


@market.command()
@click.argument("name", type=MARKET)
@reason_option
def halt(name: str, reason: str | None) -> None:
    """Stop matching in a market; cancels still work."""
    _set_status(name, MarketStatus.HALTED, reason)


@market.command("cancel-only")
@click.argument("name", type=MARKET)
@reason_option
def cancel_only(name: str, reason: str | None) -> None:
    """Accept only cancels in a market."""
    _set_status(name, MarketStatus.CANCEL_ONLY, reason)


@market.command()
@click.argument("name", type=MARKET)
@reason_option
def resume(name: str, reason: str | None) -> None:
    """Open a market for trading; in production it needs price sources first."""
    settings = load_settings()
    if not settings.is_local and not asyncio.run(index_sources(resolve_local(settings), name)).sources:
        raise click.ClickException(f"{name} has no price sources: set them first (market sources {name} --source ...)")
    _set_status(name, MarketStatus.ACTIVE, reason)


@market.command("set-index")
@click.argument("name", type=MARKET)
@click.argument("price")
def set_index(name: str, price: str) -> None:
    """Set the constant index of a market without price sources (not in production)."""
    if not load_settings().is_local:
        raise click.UsageError("production does not allow setting an index by hand")
    index = parse_whole_units(price, NANO_E18)
    if not index or index > INDEX_MAX:
        what = "a positive decimal number, at most 10^9, with at most 9 decimals"
        raise click.BadParameter(what, param_hint="PRICE")
    settings = resolve_local(load_settings())
    if asyncio.run(index_sources(settings, name)).sources:
        raise click.ClickException(
            f"{name} has price sources, which set its index (to remove them: market sources {name} --none)"
        )
    send(settings, name, SetIndex(at=now(), index=Nanos(index)))


@market.command("set")
@click.argument("name", type=MARKET)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Also if accounts fall below maintenance, and are liquidated.")
@reason_option
def set_limits(name: str, file: Path, *, force: bool, reason: str | None) -> None:
    """Change the risk tiers and limits of a market to those of a JSON file (docs/prices.md); what it leaves out stays."""
    settings, body = resolve_local(load_settings()), file.read_bytes()
    try:
        change, brought_below = asyncio.run(plan_change(settings, name, lambda spec: read_market_changes(body, spec)))
    except (MarketFileRefused, SpecChangeRefused) as error:
        raise click.UsageError("; ".join(error.faults)) from error
    before, after = _limits(change.before), _limits(change.after)
    if before == after:
        click.echo(f"{name} is so already")
        return
    for what in before:
        if before[what] != after[what]:
            click.echo(f"{what}: {before[what]} -> {after[what]}")
    if brought_below and not force:
        accounts = "1 account" if brought_below == 1 else f"{brought_below} accounts"
        raise click.ClickException(
            f"{accounts} would fall below maintenance, and be liquidated; --force changes it anyway"
        )
    wanted = change.after
    command = SetSpec(at=now(), risk_tiers=wanted.risk_tiers, open_interest_max=wanted.open_interest_max)
    send(settings, name, command, reason)
    click.echo(f"{name} is changed")


def _limits(spec: MarketSpec) -> dict[str, str]:
    """What may change of a market, in words."""
    tiers = [
        f"up to {format_micros(tier.notional_up_to)} at {format_ppm(tier.initial_margin_rate)} /"
        f" {format_ppm(tier.maintenance_margin_rate)}, leverage {tier.leverage_max}"
        for tier in spec.risk_tiers
    ]
    return {
        "riskTiers": "; ".join(tiers) or "none",
        "maxOpenInterest": format_micros(spec.open_interest_max) if spec.open_interest_max else "none",
    }


@market.command()
@click.argument("name", type=MARKET)
@click.argument("version", type=click.IntRange(1, RULES_VERSION))
def rules(name: str, version: int) -> None:
    """Upgrade a market to a rules version, once every process runs code that supports it; this cannot be undone."""
    send(resolve_local(load_settings()), name, SetRules(at=now(), rules=version))
    view = _view(name)
    click.echo(f"{name} has rules {view.rules}")
    if view.rules != version:
        raise SystemExit(1)


def _set_status(name: str, wanted: MarketStatus, reason: str | None) -> None:
    """Request a status and print the resulting one; a market never goes back to an earlier stage."""
    send(resolve_local(load_settings()), name, SetStatus(at=now(), status=wanted), reason)
    view = _view(name)
    click.echo(f"{name} is {view.status}")
    if view.status is not wanted:
        if (wanted, view.status) == (MarketStatus.ACTIVE, MarketStatus.CANCEL_ONLY):
            click.echo("its price sources are below their quorum: it opens when enough of them report again")
        raise SystemExit(1)


def _view(name: str) -> MarketView:
    return next(view for view in asyncio.run(markets_now(resolve_local(load_settings()))) if view.id == name)
