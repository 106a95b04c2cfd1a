"""`demo`: the worker of `make run DEMO=1`, and price shocks for it."""

import click

from app.cli.screen.commands import Commands
from app.settings import load_settings, resolve_local
from schemas.units import MICRO_E18, parse_whole_units

PERCENT_E18 = 100 * MICRO_E18  # a ten-thousandth of a percent, which is one part per million
SHOCK_MAX_PPM = 500_000


@click.group(cls=Commands, invoke_without_command=True)
@click.pass_context
def demo(context: click.Context) -> None:
    """Report random-walk prices, quote all markets and trade, through the public REST API (`make run DEMO=1`)."""
    if context.invoked_subcommand is None:
        import uvloop

        from app.demo import run_demo

        uvloop.run(run_demo(resolve_local(load_settings())))


@demo.command(context_settings={"ignore_unknown_options": True})
@click.argument("market")
@click.argument("percent")
def shock(market: str, percent: str) -> None:
    """Make the price of a market jump by PERCENT, for example -6, in the demo that runs in DATA (local mode only)."""
    from app.demo.shocks import Shock, leave_shock
    from app.local.run_record import read_run_record

    settings = load_settings()
    by_ppm = _read_percent(percent)
    running = read_run_record(settings.data) if settings.is_local else None
    if running is None or "demo" not in running.children:
        raise click.ClickException(f"no demo runs in {settings.data}")
    _check_market(market)
    leave_shock(settings.data, Shock(market, by_ppm))
    click.echo(f"{market} jumps by {percent} %")


def _read_percent(text: str) -> int:
    by_ppm = parse_whole_units(text.removeprefix("-"), PERCENT_E18) or 0
    if not 0 < by_ppm <= SHOCK_MAX_PPM:
        raise click.BadParameter(
            "a decimal number from -50 to 50, not 0, with at most 4 decimals", param_hint="PERCENT"
        )
    return -by_ppm if text.startswith("-") else by_ppm


def _check_market(market: str) -> None:
    from app.demo.markets import DEMO_MARKETS
    from store.command_log.commands import MarketUnknown

    if market not in {spec.market for spec in DEMO_MARKETS}:
        raise MarketUnknown(market)
