"""`prices`: report the prices of price sources to the logs of their markets, until stopped."""

from pathlib import Path

import click

from app.settings import load_settings, resolve_local


@click.command()
@click.option("--market", "market", help="The market that --source is for.")
@click.option("--source", "options", multiple=True, help="NAME=KIND:key=value,..., repeatable (docs/prices.md).")
@click.option("--file", "file", type=click.Path(path_type=Path), help="A TOML file of sources, for any markets.")
def prices(market: str | None, options: tuple[str, ...], file: Path | None) -> None:
    """Poll price sources and report their prices; a second process with the same sources is its standby."""
    import uvloop

    from app.compose import work_prices
    from app.price_sources import SourceRefused, sources_of_file, sources_of_options

    if bool(options) != bool(market) or not (options or file):
        raise click.UsageError("give --market M with --source ..., or --file FILE")
    settings = load_settings()
    try:
        sources = sources_of_options(settings, market, options) if market else []
        sources += sources_of_file(settings, file) if file else []
    except SourceRefused as error:
        raise click.UsageError(str(error)) from error
    if len({(source.market, source.name) for source in sources}) < len(sources):
        raise click.UsageError("two sources of a market have the same name")
    uvloop.run(work_prices(resolve_local(settings), sources))
