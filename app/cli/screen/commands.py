"""Groups of commands: Ctrl-C ends them without a traceback, and their help says every command's sentence in full."""

import sys
from typing import Any

import click

from app.cli.output import INTERRUPTED


class Commands(click.Group):
    """A group of commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; exit 130 when it was interrupted, as shells do."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click calls it
        """Every command with the first sentence of its help, wrapped instead of cut."""
        rows = [(name, _first_sentence(command)) for name, command in sorted(self.commands.items())]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _first_sentence(command: click.Command) -> str:
    return command.get_short_help_str(limit=sys.maxsize)
