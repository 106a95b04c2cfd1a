"""`market sources`: the price sources of a market's index."""

import asyncio

import click

from app.cli.output import json_option, show
from app.cli.screen.completion import MARKET
from app.cli.sending import send
from app.operator import index_sources, now
from app.settings import load_settings, resolve_local
from schemas.commands import SetPriceSources
from schemas.market import PriceSource, source_faults

MAX_AGE_MS = 10_000


@click.command()
@click.argument("name", type=MARKET)
@click.option("--source", "given", multiple=True, metavar="NAME[:WEIGHT[:MAXAGEMS]]", help="A source, repeatable.")
@click.option("--quorum", type=int, help="How many sources must be fresh; default: more than half of them.")
@click.option(
    "--none", "is_none", is_flag=True, help="No sources: the index stays constant from now on (not in production)."
)
@json_option
def sources(name: str, given: tuple[str, ...], quorum: int | None, is_none: bool, as_json: bool) -> None:
    """Set the price sources of a market's index; without options, show them. Defaults: weight 1, max age 10000 ms."""
    settings = load_settings()
    if is_none and (given or not settings.is_local):
        raise click.UsageError(
            "--none excludes --source, and is not allowed in production: a market without sources cannot open there"
        )
    if quorum is not None and not given:
        raise click.UsageError("--quorum needs --source")
    settings = resolve_local(settings)
    if given or is_none:
        wanted = tuple(_read(text) for text in given)
        quorum = len(wanted) // 2 + 1 if quorum is None and wanted else quorum or 0
        if faults := source_faults(wanted, quorum):
            raise click.UsageError("; ".join(faults))
        send(settings, name, SetPriceSources(now(), wanted, quorum))
    found = asyncio.run(index_sources(settings, name))
    rows = [
        {"source": source.name, "weight": source.weight, "maxAgeMs": source.max_age_ms, "quorum": found.quorum}
        for source in found.sources
    ]
    show(rows, as_json, empty=f"{name} has no price sources: its index is constant")


def _read(text: str) -> PriceSource:
    name, *numbers = text.split(":")
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise click.BadParameter(f"{text!r} is not NAME[:WEIGHT[:MAXAGEMS]]", param_hint="--source")
    weight, max_age_ms, *_ = [*map(int, numbers), *(1, MAX_AGE_MS)[len(numbers) :]]
    return PriceSource(name, weight, max_age_ms)
