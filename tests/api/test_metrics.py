from tests.api.exchange import Exchange


def figures(text: str) -> dict[str, float]:
    """The samples of an answer by name and labels."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_the_backlog_of_each_market_is_a_figure(exchange: Exchange) -> None:
    """Both listings and one order wait in the outbox; when they are persisted nothing does."""
    alice = await exchange.user()
    await alice.order()
    await exchange.services.load.poll()
    before = figures((await alice.get("/metrics")).body)
    assert before['perpetua_backlog_commands{market="BTC-PERP"}'] == 2
    assert before['perpetua_backlog_commands{market="ETH-PERP"}'] == 1
    await exchange.run_engine()
    await exchange.services.load.poll()
    after = figures((await alice.get("/metrics")).body)
    assert after['perpetua_backlog_commands{market="BTC-PERP"}'] == 0
    assert after['perpetua_backlog_oldest_seconds{market="BTC-PERP"}'] == 0
    assert after['perpetua_mark_age_seconds{market="BTC-PERP"}'] == 0


async def test_what_the_last_audit_found_is_a_figure(exchange: Exchange) -> None:
    """Nothing before the first run; then the difference, the findings and the time of the newest one."""
    nobody = exchange.anonymous()
    answer = await nobody.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "perpetua_audit_difference_micros" not in figures(answer.body)
    for difference, findings in (("0", "[]"), ("-7", '[{"invariant": "conservation"}]')):
        await exchange.execute(
            "INSERT INTO audit_runs (at, took_ms, difference, findings) VALUES ('2027-01-15T08:00:00Z', 250, $1, $2)",
            difference,
            findings,
        )
    told = figures((await nobody.get("/metrics")).body)
    assert told["perpetua_audit_difference_micros"] == -7
    assert told["perpetua_audit_findings"] == 1
    assert told["perpetua_audit_duration_seconds"] == 0.25
    assert told["perpetua_audit_timestamp_seconds"] == 1_800_000_000
