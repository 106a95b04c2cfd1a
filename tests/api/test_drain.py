import asyncio

from store.markets.halts import halt
from tests.api.exchange import Exchange
from tests.eventually import eventually


async def test_a_drain_answers_when_all_accepted_before_is_persisted(database: str) -> None:
    """200 with each market's sequences, and how many commands were persisted during the drain."""
    exchange = await Exchange(database).start(drain_timeout_s=20)
    alice, admin = await exchange.user(), await exchange.user(None, is_admin=True)
    await alice.order()
    draining = asyncio.create_task(admin.call("POST", "/admin/drain", {}))
    await eventually(lambda: exchange.value("SELECT min(command_seq) > 1 FROM counters"))  # both barriers are in
    assert not draining.done()
    await exchange.run_engine()
    drained = await draining
    assert drained.status == 200
    bitcoin, ether = drained.body["markets"]
    assert (bitcoin["marketId"], bitcoin["commandSequence"]) == ("BTC-PERP", 3)  # listed, order, barrier
    assert (ether["marketId"], ether["commandSequence"]) == ("ETH-PERP", 2)
    assert bitcoin["eventHash"] == await exchange.value("SELECT event_hash FROM progress WHERE market_id = 1")
    assert (drained.body["processed"], drained.body["skipped"]) == (5, [])
    await exchange.stop()


async def test_a_failed_drain_says_what_still_lags(exchange: Exchange) -> None:
    """DRAIN_TIMED_OUT, 504, with the sequences persisted and awaited."""
    admin = await exchange.user(None, is_admin=True)
    late = await admin.call("POST", "/admin/drain", {"marketId": "ETH-PERP"})
    assert (late.status, late.code) == (504, "DRAIN_TIMED_OUT")
    assert late.details == {"markets": [{"marketId": "ETH-PERP", "commandSequence": 0, "awaitedCommandSequence": 2}]}
    assert await exchange.value("SELECT command_seq FROM counters WHERE market_id = 1") == 1


async def test_a_drain_needs_no_body_but_a_known_market(exchange: Exchange) -> None:
    """Nothing named: all markets; an unknown one: MARKET_NOT_FOUND, and no barrier is sent."""
    admin = await exchange.user(None, is_admin=True)
    unknown = await admin.call("POST", "/admin/drain", {"marketId": "DOGE-PERP"})
    assert (unknown.status, unknown.code) == (404, "MARKET_NOT_FOUND")
    assert await exchange.value("SELECT max(command_seq) FROM counters") == 1
    assert (await admin.call("POST", "/admin/drain")).code == "DRAIN_TIMED_OUT"
    assert await exchange.value("SELECT min(command_seq) FROM counters") == 2


async def test_a_drain_skips_a_market_that_the_exchange_has_halted(database: str) -> None:
    """The others are drained and answered at once; the halted one is named, and no barrier goes into its log."""
    exchange = await Exchange(database).start(drain_timeout_s=20)
    admin = await exchange.user(None, is_admin=True)
    await exchange.services.database.run(lambda session: halt(session, "BTC-PERP", "for a test"))
    draining = asyncio.create_task(admin.call("POST", "/admin/drain", {}))
    await eventually(lambda: exchange.value("SELECT command_seq = 2 FROM counters WHERE market_id = 2"))
    await exchange.run_engine()
    drained = await draining
    assert (drained.status, drained.body["skipped"]) == (200, ["BTC-PERP"])
    assert [market["marketId"] for market in drained.body["markets"]] == ["ETH-PERP"]
    assert await exchange.value("SELECT command_seq FROM counters WHERE market_id = 1") == 1
    named = await admin.call("POST", "/admin/drain", {"marketId": "BTC-PERP"})
    assert (named.status, named.body) == (200, {"processed": 0, "markets": [], "skipped": ["BTC-PERP"]})
    await exchange.stop()


async def test_a_market_halted_during_a_drain_is_skipped(database: str) -> None:
    """Its barrier waits in the log; the drain does not wait for it."""
    exchange = await Exchange(database).start(drain_timeout_s=20)
    admin = await exchange.user(None, is_admin=True)
    draining = asyncio.create_task(admin.call("POST", "/admin/drain", {"marketId": "BTC-PERP"}))
    await eventually(lambda: exchange.value("SELECT command_seq = 2 FROM counters WHERE market_id = 1"))
    await exchange.services.database.run(lambda session: halt(session, "BTC-PERP", "for a test"))
    assert (await draining).body == {"processed": 0, "markets": [], "skipped": ["BTC-PERP"]}
    await exchange.stop()


async def test_a_finished_market_gets_no_barrier(database: str) -> None:
    """It has no worker that could pass one; nothing is under way, so it is drained."""
    exchange = await Exchange(database).start(drain_timeout_s=20)
    await exchange.execute("UPDATE markets SET status = 'SETTLED' WHERE market_id = 1")
    await exchange.execute("UPDATE relay_cursors SET command_seq = 1, pruned_seq = 1 WHERE market_id = 1")
    await exchange.execute("UPDATE progress SET command_seq = 1 WHERE market_id = 1")
    admin = await exchange.user(None, is_admin=True)
    drained = await admin.call("POST", "/admin/drain", {"marketId": "BTC-PERP"})
    assert (drained.status, drained.body["processed"], drained.body["skipped"]) == (200, 0, [])
    assert [market["marketId"] for market in drained.body["markets"]] == ["BTC-PERP"]
    assert await exchange.value("SELECT command_seq FROM counters WHERE market_id = 1") == 1
    await exchange.stop()
