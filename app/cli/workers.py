"""Commands that run a part of the exchange until it is stopped, or prepare for it."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

import click

from app.cli.screen.completion import MARKET
from app.cli.sending import reason_option
from app.operator import record_topic_repair
from app.settings import Settings, load_settings, resolve_local
from store.markets.placement import BadShard, check_shard

ALL_MARKETS = "all"
Work = Callable[..., Coroutine[None, None, None]]


def markets_option(command: Callable[..., None]) -> Callable[..., None]:
    """Which markets a worker serves: whole shards, named by themselves or by a market in them."""
    of_markets = click.option(
        "--market",
        "markets",
        type=MARKET,
        multiple=True,
        help="The shard of a market, repeatable, or all (the default).",
    )
    of_shards = click.option("--shard", "shards", multiple=True, help="A shard, repeatable.")
    return of_markets(of_shards(command))


@click.command()
def run() -> None:
    """Start everything on this machine and print `ready … URL`."""
    from app.run import run_exchange

    raise SystemExit(asyncio.run(run_exchange(load_settings())))


@click.command()
def api() -> None:
    """Serve the REST API."""
    import uvloop

    from app.compose import serve_api

    uvloop.run(serve_api(resolve_local(load_settings())))


@click.command()
@markets_option
def relay(markets: tuple[str, ...], shards: tuple[str, ...]) -> None:
    """Copy the commands of the given shards from the outbox to the command logs."""
    from app.compose import work_relay

    _work_on(work_relay, markets, shards)


@click.command()
@markets_option
def engine(markets: tuple[str, ...], shards: tuple[str, ...]) -> None:
    """Match the orders of the given shards; a second process is their standby."""
    from app.compose import work_engine

    _work_on(work_engine, markets, shards)


@click.command()
@markets_option
def projection(markets: tuple[str, ...], shards: tuple[str, ...]) -> None:
    """Persist the events of the given shards to PostgreSQL."""
    from app.compose import work_projection

    _work_on(work_projection, markets, shards)


@click.command()
@markets_option
def publisher(markets: tuple[str, ...], shards: tuple[str, ...]) -> None:
    """Publish the fills of the given shards to `fills.{market}`, for external consumers."""
    from app.compose import work_publisher

    _work_on(work_publisher, markets, shards)


@click.command()
def clock() -> None:
    """Send the time to every market: each second, and at once when an order is due."""
    from app.compose import work_clock

    _work(work_clock)


@click.command()
def liquidator() -> None:
    """Liquidate accounts below maintenance, activate triggered orders, and audit the books every 30 s."""
    from app.compose import work_liquidator

    _work(work_liquidator)


@click.command()
def migrate() -> None:
    """Migrate the database to this version and list the seed markets."""
    from app.compose import prepare_database

    newest = asyncio.run(prepare_database(resolve_local(load_settings())))
    click.echo(f"the database is at migration {newest}")


@click.command()
@click.option("--repair", is_flag=True, help="Set the settings of existing topics to what they must be.")
@reason_option
def topics(repair: bool, reason: str | None) -> None:
    """Create the topics of every listed market, and register their schemas; exit 1 when one is not set up as it must be, and say how."""
    from app.compose import prepare_topics, register_record_schemas, repair_topics, topic_faults
    from app.exports.schema_registry import RegistryRefused

    settings = resolve_local(load_settings())
    names = asyncio.run(prepare_topics(settings))
    click.echo(f"{len(names)} topics exist: {', '.join(names)}")
    try:
        registered = asyncio.run(register_record_schemas(settings))
    except RegistryRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from error
    for subject, schema_id in registered.items():
        click.echo(f"{subject} is schema {schema_id} of the registry")
    repaired = asyncio.run(repair_topics(settings)) if repair else []
    asyncio.run(record_topic_repair(settings, repaired, reason))
    for fault in repaired:
        click.echo(f"{fault.topic}: {fault.what} is {fault.expected} now, was {fault.found}")
    faults, repairable = asyncio.run(topic_faults(settings))
    for fault in faults:
        click.echo(fault, err=True)
    if repairable:
        click.echo(f"`topics --repair` sets {len(repairable)} of these", err=True)
    if faults:
        raise SystemExit(1)


def _work_on(work: Work, markets: tuple[str, ...], shards: tuple[str, ...]) -> None:
    """Work for these shards; refuses a name that no shard can have."""
    for shard in shards:
        try:
            check_shard(shard)
        except BadShard as error:
            raise click.BadParameter(str(error), param_hint="--shard") from error
    _work(partial(work, markets=markets, shards=shards))


def _work(work: Callable[[Settings], Coroutine[None, None, None]]) -> None:
    """Work at the broker that BROKER_URL names; without one, at that of the exchange in DATA, and end when it stops."""
    import uvloop

    from app.local.attached_worker import work_attached

    given = load_settings()
    settings = resolve_local(given)
    working = work(settings)
    uvloop.run(working if given.broker_url else work_attached(working, settings.data, settings.broker_url))
