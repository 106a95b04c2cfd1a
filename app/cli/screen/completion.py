"""Completion of commands, options and market names in a shell."""

import asyncio
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from app.operator import markets_now
from app.settings import Misconfigured, load_settings, resolve_local
from app.unreachable import DATABASE_REFUSES, OUT_OF_REACH

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "perpetua"
WITHIN_S = 1.0


class MarketName(click.ParamType):
    """The name of a market; the shell completes it from the exchange that the command would speak to, if that answers soon."""

    name = "text"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click calls it so
        param: click.Parameter,  # noqa: ARG002 - click calls it so
        incomplete: str,
    ) -> list[CompletionItem]:
        """The listed markets that begin so; none while there is no exchange."""
        try:
            names = asyncio.run(_names())
        except (Misconfigured, *OUT_OF_REACH, *DATABASE_REFUSES):
            names = []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


MARKET = MarketName()


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete `perpetua`: in bash, `source <(perpetua completion bash)`."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    arguments: dict[str, Any] = {}
    click.echo(kind(context.find_root().command, arguments, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())


async def _names() -> list[str]:
    async with asyncio.timeout(WITHIN_S):
        return [view.id for view in await markets_now(resolve_local(load_settings()))]
