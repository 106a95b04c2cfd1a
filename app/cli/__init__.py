"""The command line. Exit 0: it holds or was done; 1: it does not hold; 2: wrong use or wrong settings."""

import sys

import click

from app.cli.inspect import audit, drain, status
from app.cli.markets import market
from app.cli.people import admin
from app.cli.workers import api, clock, demo, engine, migrate, projection, relay, run, topics
from app.settings import Misconfigured


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Perpetua, a perpetual-futures exchange. Finds a local exchange by DATA, any other by DATABASE_URL and BROKER_URL."""


for command in (run, api, relay, engine, projection, clock, demo, migrate, topics, market, admin, drain, audit, status):
    cli.add_command(command)


def main() -> None:
    """Run the command line; settings that do not hold together exit with 2."""
    try:
        cli(prog_name="python -m app")
    except Misconfigured as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(2)
