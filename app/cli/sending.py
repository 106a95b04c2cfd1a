"""Sends an operator's command through a market's log, and waits until it is persisted."""

import asyncio

import click

from app.operator import command_market
from app.settings import Settings
from store.operators.market_acts import MarketCommand

reason_option = click.option("--reason", help="Why, for the log of operators (`acts`).")


def send(settings: Settings, market: str, command: MarketCommand, reason: str | None = None) -> None:
    """Send a command and wait until it is persisted; exit 1 when that takes more than 10 s. Raises MarketUnknown."""
    if not asyncio.run(command_market(settings, market, command, reason)):
        raise click.ClickException(f"{market} did not process the command within 10 s")
