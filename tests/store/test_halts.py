"""A market that the exchange itself has halted: visible to all, and closed whatever its events say."""

from schemas.commands import SetStatus
from schemas.market import MarketStatus
from store.command_log.broker_identity import raise_epoch
from store.command_log.outbox import read_commands
from store.markets.halts import first_unknown_command, halt, read_halted
from store.queries.market_data.markets import read_market
from tests.store.projection_builders import NOON, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"


async def test_an_event_does_not_open_a_market_that_the_exchange_has_halted(database: str) -> None:
    """What was under way is persisted, but the status stays HALTED, also after a rebuild, until it is resumed."""
    exchange = await open_exchange(database)
    await halt(exchange.session, BTC, "the first reason")
    await halt(exchange.session, BTC, "another reason")
    assert await read_halted(exchange.session) == {BTC: "the first reason"}
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.ACTIVE))
    await exchange.settle()
    view = await read_market(exchange.session, BTC)
    assert view is not None
    assert view.status is MarketStatus.HALTED

    await raise_epoch(exchange.session, BTC)
    assert await read_halted(exchange.session) == {}
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.ACTIVE))
    await exchange.settle()
    view = await read_market(exchange.session, BTC)
    assert view is not None
    assert view.status is MarketStatus.ACTIVE
    await exchange.close()


async def test_a_command_that_this_database_never_took_on_is_unknown(database: str) -> None:
    """Beyond the counter, or with other bytes; what is pruned counts as known."""
    exchange = await open_exchange(database)
    btc, eth = (exchange.registry.by_name[name].market_id for name in (BTC, ETH))
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.ACTIVE))
    log = dict(await read_commands(exchange.session, btc, 0, 10))
    assert await first_unknown_command(exchange.session, btc, log) is None
    assert await first_unknown_command(exchange.session, btc, log | {3: b"{}"}) == 3
    assert await first_unknown_command(exchange.session, btc, log | {2: b"{}"}) == 2
    assert await first_unknown_command(exchange.session, eth, log) == 1
    await exchange.session.execute("DELETE FROM outbox WHERE market_id = $1 AND command_seq = 1", btc)
    assert await first_unknown_command(exchange.session, btc, log) == 1
    await exchange.session.execute("UPDATE relay_cursors SET pruned_seq = 1 WHERE market_id = $1", btc)
    assert await first_unknown_command(exchange.session, btc, log) is None
    await exchange.close()
