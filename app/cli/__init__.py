"""The command line. Exit codes: 0 success; 1 failure, or a check found something; 2 wrong usage or settings; 130 Ctrl-C."""

import logging
import sys
from pathlib import Path

import click

from agents.worker.fail_stop import ignore_user_signals
from app.cli.accounts import acts, user
from app.cli.configuration import config
from app.cli.dead_letters import dlq
from app.cli.demo import demo
from app.cli.inspect import audit, drain, status
from app.cli.markets import market
from app.cli.prices import prices
from app.cli.reading import export, tail
from app.cli.recovery import rebuild, verify
from app.cli.screen.commands import Commands
from app.cli.screen.completion import PROGRAM, completion
from app.cli.users import admin
from app.cli.workers import api, clock, engine, liquidator, migrate, projection, publisher, relay, run, topics
from app.settings import Misconfigured
from app.unreachable import DATABASE_REFUSES, OUT_OF_REACH, unreachable
from schemas.addresses import CannotListen
from store.command_log.commands import MarketUnknown
from store.schema.newer_database import DatabaseIsNewer

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


def _print_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked and not context.resilient_parsing:
        from app.release.version import release_line

        click.echo(release_line())
        context.exit()


@click.group(cls=Commands, context_settings=HELP)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print version, commit and migration.",
)
def cli() -> None:
    """Perpetua, a perpetual-futures exchange. Commands find a local exchange by DATA, any other by DATABASE_URL and BROKER_URL."""


for command in (
    *(run, api, relay, engine, projection, publisher, clock, liquidator, prices, demo),
    *(migrate, topics, market, admin, user, config, completion),
    *(drain, audit, verify, status, rebuild, dlq, tail, export, acts),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; exit 2 for invalid settings and unknown markets, 1 for an exchange that is unreachable or refuses access."""
    ignore_user_signals()
    try:
        cli(prog_name=PROGRAM if Path(sys.argv[0]).name == PROGRAM else "python -m app")
    except Misconfigured as error:
        for fault in error.faults:
            _say(fault)
        sys.exit(2)
    except MarketUnknown as error:
        _say(f"there is no market {error.market}")
        sys.exit(2)
    except CannotListen as error:
        _say(str(error))
        sys.exit(2)
    except DatabaseIsNewer as error:
        _say(str(error))
        sys.exit(1)
    except DATABASE_REFUSES as error:
        _say(f"the database refuses: {error}")
        sys.exit(1)
    except OUT_OF_REACH as error:
        _say(unreachable(error))
        sys.exit(1)


def _say(fault: str) -> None:
    """Why the command ends: to the person who typed it, or as a line of the log where the process has begun one."""
    if logging.getLogger().handlers:
        logging.getLogger(__name__).critical("%s", fault)
    else:
        click.echo(fault, err=True)
