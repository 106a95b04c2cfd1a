"""Sending an operator's command through a market's log, and waiting for what came of it."""

import asyncio

import click

from app.operator import command_market
from app.settings import Settings
from schemas.commands import Command


def send(settings: Settings, market: str, command: Command) -> None:
    """Send a command and wait until it is persisted; exit 1 when it was not within 10 s. Raises MarketUnknown."""
    if not asyncio.run(command_market(settings, market, command)):
        raise click.ClickException(f"{market} did not answer within 10 s")
