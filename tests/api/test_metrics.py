"""The metrics of the API for Prometheus: values read from the database, and counters of this process."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from store.markets.candles import roll_candles
from store.session.connect import connect_writer
from tests.api.exchange import Exchange
from tests.eventually import eventually


def parsed(text: str) -> dict[str, float]:
    """The samples of an answer by name and labels."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_the_backlog_of_each_market_is_a_figure(exchange: Exchange) -> None:
    """Both listings and one order wait in the outbox; when they are persisted nothing does."""
    alice = await exchange.user()
    await alice.order()
    await exchange.services.load.poll()
    before = parsed((await alice.get("/metrics")).body)
    assert before['perpetua_backlog_commands{market="BTC-PERP"}'] == 2
    assert before['perpetua_backlog_commands{market="ETH-PERP"}'] == 1
    await exchange.run_engine()
    await exchange.services.load.poll()
    after = parsed((await alice.get("/metrics")).body)
    assert after['perpetua_backlog_commands{market="BTC-PERP"}'] == 0
    assert after['perpetua_backlog_oldest_seconds{market="BTC-PERP"}'] == 0
    assert after['perpetua_mark_age_seconds{market="BTC-PERP"}'] == 0


async def test_what_the_last_audit_found_is_a_figure(exchange: Exchange) -> None:
    """Nothing before the first run; then the difference, the findings and the time of the newest one."""
    nobody = exchange.anonymous()
    answer = await nobody.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "perpetua_audit_difference_micros" not in parsed(answer.body)
    for difference, findings in (("0", "[]"), ("-7", '[{"invariant": "conservation"}]')):
        await exchange.execute(
            "INSERT INTO audit_runs (at, took_ms, difference, findings) VALUES ('2027-01-15T08:00:00Z', 250, $1, $2)",
            difference,
            findings,
        )
    values = parsed((await nobody.get("/metrics")).body)
    assert values["perpetua_audit_difference_micros"] == -7
    assert values["perpetua_audit_findings"] == 1
    assert values["perpetua_audit_duration_seconds"] == 0.25
    assert values["perpetua_audit_timestamp_seconds"] == 1_800_000_000


async def test_each_hop_has_its_lag(exchange: Exchange) -> None:
    """Nothing is relayed here: what waits is in the outbox, none in the log, and no snapshot covers it."""
    alice = await exchange.user()
    await alice.order()
    await exchange.execute("UPDATE outbox SET created_at = now() - interval '5 seconds'")
    values = parsed((await alice.get("/metrics")).body)
    assert values['perpetua_relay_lag_commands{market="BTC-PERP"}'] == 2
    assert values['perpetua_relay_lag_seconds{market="BTC-PERP"}'] >= 5
    assert values['perpetua_projection_lag_commands{market="BTC-PERP"}'] == 0
    assert values['perpetua_projection_lag_seconds{market="BTC-PERP"}'] == 0
    assert values['perpetua_outbox_kept_commands{market="BTC-PERP"}'] == 2
    assert values['perpetua_market_status{market="BTC-PERP",status="ACTIVE"}'] == 1
    assert 'perpetua_stored_snapshot_age_seconds{market="BTC-PERP"}' not in values
    await exchange.execute("UPDATE relay_cursors SET command_seq = 1 WHERE market_id = 1")
    values = parsed((await alice.get("/metrics")).body)
    assert values['perpetua_relay_lag_commands{market="BTC-PERP"}'] == 1
    assert values['perpetua_projection_lag_commands{market="BTC-PERP"}'] == 1
    assert values['perpetua_projection_lag_seconds{market="BTC-PERP"}'] >= 5


async def test_values_of_the_database_are_reported_unchanged(exchange: Exchange) -> None:
    """A market that the exchange halted, the age of its newest snapshot, and for how long a transaction holds a snapshot open."""
    nobody = exchange.anonymous()
    await exchange.execute("UPDATE markets SET status = 'HALTED', halted_reason = 'a test' WHERE market_id = 2")
    await exchange.execute(
        "INSERT INTO engine_snapshots (market_id, command_seq, event_seq, event_hash, state_hash, state, created_at)"
        " SELECT 1, n, n, 'h', 'h', '', now() - interval '1 hour' / n FROM generate_series(1, 2) n"
    )
    holder = await asyncpg.connect(exchange.dsn)
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await holder.execute("SELECT 1 FROM markets")
    await asyncio.sleep(0.2)
    values = parsed((await nobody.get("/metrics")).body)
    await holder.close()
    assert values['perpetua_market_halted{market="BTC-PERP"}'] == 0
    assert values['perpetua_market_halted{market="ETH-PERP"}'] == 1
    assert values['perpetua_market_status{market="ETH-PERP",status="HALTED"}'] == 1
    assert values['perpetua_market_shard{market="ETH-PERP",shard="main"}'] == 1
    assert 1_800 <= values['perpetua_stored_snapshot_age_seconds{market="BTC-PERP"}'] < 3_600
    assert 'perpetua_stored_snapshot_age_seconds{market="ETH-PERP"}' not in values
    assert 0.2 <= values["perpetua_database_oldest_transaction_seconds"] < 60


async def test_a_market_is_finished_once_it_is_settled_and_nothing_is_kept(exchange: Exchange) -> None:
    """Settled alone is not enough: a command may be unsent, not persisted, or in no snapshot; a quarantined one is never finished."""
    nobody = exchange.anonymous()

    async def finished() -> float:
        return parsed((await nobody.get("/metrics")).body)['perpetua_market_finished{market="BTC-PERP"}']

    await exchange.execute("UPDATE markets SET status = 'SETTLED' WHERE market_id = 1")
    assert await finished() == 0
    await exchange.execute("UPDATE relay_cursors SET command_seq = 1, pruned_seq = 1 WHERE market_id = 1")
    assert await finished() == 1
    await exchange.execute("UPDATE markets SET halted_reason = 'a test' WHERE market_id = 1")
    assert await finished() == 0


async def test_orders_that_wait_are_a_figure(exchange: Exchange) -> None:
    """Three orders wait for one whose transaction is blocked; nothing waits once it continues."""
    users = [await exchange.user() for _ in range(4)]
    holder = await asyncpg.connect(exchange.dsn)
    await holder.execute("BEGIN; LOCK TABLE accounts")
    placed = [asyncio.create_task(users[0].order())]
    await eventually(lambda: exchange.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    placed += [asyncio.create_task(user.order()) for user in users[1:]]

    async def waiting() -> float:
        return parsed((await users[0].get("/metrics")).body)["perpetua_requests_waiting"]

    await eventually(lambda: _is(waiting, 3))
    await holder.close()
    assert {(await order).status for order in placed} == {202}
    assert await waiting() == 0


async def test_answers_are_counted_by_route_and_status_and_never_by_user(exchange: Exchange) -> None:
    """The route is its template; a path made up by a client is no label; what is refused was submitted too."""
    alice = await exchange.user()
    names = {
        "taken": 'perpetua_requests_total{method="POST",route="/orders",status="202"}',
        "refused": 'perpetua_requests_total{method="POST",route="/orders",status="400"}',
        "unknown": 'perpetua_requests_total{method="GET",route="/orders/{orderId}",status="404"}',
        "strange": 'perpetua_requests_total{method="-",route="unmatched",status="404"}',
        "submitted": "perpetua_submission_batch_size_sum",
    }

    async def counts() -> dict[str, float]:
        values = parsed((await alice.get("/metrics")).body)
        return {what: values.get(name, 0) for what, name in names.items()}

    before = await counts()
    await alice.order()
    await alice.order(quantity="0")
    await alice.get("/orders/BTC-PERP-99")
    await alice.get("/strange/path")
    after = await counts()
    assert {what: after[what] - before[what] for what in names} == dict.fromkeys(names, 1) | {"submitted": 2}


async def test_the_business_is_a_figure(exchange: Exchange) -> None:
    """Two orders of 0.1 and 0.3 at 60,000: a trade of 0.1, one order left, two positions; what the fund has; two users."""
    alice, bob = await exchange.user(), await exchange.user()
    await alice.order(quantity="0.3")
    await bob.order(side="SELL", timeInForce="IOC")
    await exchange.run_engine()
    await _roll(exchange)
    values = parsed((await alice.get("/metrics")).body)
    market = '{market="BTC-PERP"}'
    assert values["perpetua_open_orders" + market] == 1
    assert values["perpetua_open_positions" + market] == 2
    assert values["perpetua_open_interest" + market] == 0.1
    assert values["perpetua_trades" + market] == 1
    assert values["perpetua_notional_24h" + market] == 6_000
    assert values['perpetua_open_orders{market="ETH-PERP"}'] == 0
    fund = await exchange.value("SELECT sum(amount) FROM ledger WHERE account = -3")
    assert values["perpetua_insurance_fund"] == int(fund) / 1e6
    assert values["perpetua_users"] == 2


async def test_business_figures_that_cannot_be_read_hide_nothing_else(exchange: Exchange) -> None:
    """A query that takes too long is no outage: the lags are there, and the database is up."""
    holder = await asyncpg.connect(exchange.dsn)
    await holder.execute("BEGIN; LOCK TABLE users")
    nobody = exchange.anonymous()
    values = parsed((await nobody.get("/metrics")).body)
    await holder.close()
    assert values["perpetua_database_up"] == 1
    assert values['perpetua_relay_lag_commands{market="BTC-PERP"}'] >= 0
    assert "perpetua_users" not in values
    assert parsed((await nobody.get("/metrics")).body)["perpetua_users"] == 0


async def test_how_long_each_route_took_is_a_histogram(exchange: Exchange) -> None:
    """By method and route: as many as were answered, in growing buckets whose last one has all; orders on both paths."""
    alice = await exchange.user()

    async def durations() -> dict[str, float]:
        values = parsed((await alice.get("/metrics")).body)
        labels = 'method="POST",route="/orders"'
        buckets = [
            values.get(f'perpetua_request_seconds_bucket{{le="{le}",{labels}}}', 0) for le in ("0.001", "30.0", "+Inf")
        ]
        assert buckets == sorted(buckets)
        return {
            "all": buckets[-1],
            "count": values.get(f"perpetua_request_seconds_count{{{labels}}}", 0),
            "sum": values.get(f"perpetua_request_seconds_sum{{{labels}}}", 0),
            "answers": sum(n for name, n in values.items() if name.startswith(f"perpetua_requests_total{{{labels}")),
        }

    before = await durations()
    await alice.order()  # on the fast path
    await alice.order(quantity="0")  # refused on the other one
    after = await durations()
    assert {name: after[name] - before[name] for name in ("all", "count", "answers")} == dict.fromkeys(
        ("all", "count", "answers"), 2
    )
    assert after["sum"] > before["sum"]


async def test_metrics_are_served_without_a_database(exchange: Exchange) -> None:
    """The process still reports its own metrics, and that the database is down."""
    nobody = exchange.anonymous()
    assert parsed((await nobody.get("/metrics")).body)["perpetua_database_up"] == 1
    exchange.services.database.close()
    answer = await nobody.get("/metrics")
    values = parsed(answer.body)
    assert (answer.status, values["perpetua_database_up"]) == (200, 0)
    assert "perpetua_requests_waiting" in values
    assert 'perpetua_relay_lag_commands{market="BTC-PERP"}' not in values


async def _roll(exchange: Exchange) -> None:
    """Make candles of every trade, as the liquidator does each second."""
    session = await connect_writer(exchange.dsn, "test candles")
    while await roll_candles(session):
        pass
    await session.close()


async def _is(figure: Callable[[], Awaitable[float]], wanted: float) -> bool:
    return await figure() == wanted
