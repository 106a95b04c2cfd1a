"""What the operator's market commands refuse before anything reaches a market's log."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.compose import prepare_database
from app.settings import load_settings
from schemas.wire import RULES_VERSION
from tests.store.account_builder import USDC, hold, session_to, user_with

PRODUCTION = {"MODE": "production", "BROKER_URL": "localhost:1", "JWT_SECRET": "0123456789" * 4}


@pytest.mark.parametrize("price", ["0", "-5", "1e3", "0.0000000001", "1000000000.000000001", "1000000000000"])
def test_an_index_that_would_stop_the_projection_never_reaches_the_log(price: str) -> None:
    """A command is in the log permanently: an index that the tables cannot hold would stop its market forever."""
    answer = CliRunner().invoke(cli, ["market", "set-index", "BTC-PERP", "--", price])
    assert answer.exit_code == 2
    assert "at most" in answer.output


@pytest.mark.parametrize("version", ["0", "-1", str(RULES_VERSION + 1), "1.5", "x"])
def test_rules_that_no_code_knows_never_reach_the_log(version: str) -> None:
    """Such a command would stop its market until the code is written: this release accepts only what it knows."""
    answer = CliRunner().invoke(cli, ["market", "rules", "BTC-PERP", "--", version])
    assert answer.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        *(("--source", ""), ("--source", "a:0"), ("--source", "a:1:99"), ("--source", "a:1:2:3"), ("--source", "a:x")),
        *(("--source", "a", "--source", "a"), ("--source", "a", "--quorum", "2"), ("--source", "a", "--quorum", "0")),
        *(("--quorum", "1"), ("--none", "--source", "a"), ("--source", "a" * 33)),
    ],
)
def test_sources_that_make_no_index_never_reach_the_log(options: tuple[str, ...], database: str) -> None:
    """Refused as wrong use, by the rules that every market's sources keep to."""
    answer = CliRunner(env={"DATABASE_URL": database}).invoke(cli, ["market", "sources", "BTC-PERP", *options])
    assert answer.exit_code == 2, answer.output


async def test_production_opens_no_market_without_price_sources(postgres_dsn: str) -> None:
    """Its markets are listed CANCEL_ONLY, and resumed when they have sources; these it does not give up again."""
    async with session_to(postgres_dsn) as server:
        await server.execute("CREATE DATABASE production")
    dsn = postgres_dsn.replace("/perpetua?", "/production?")
    environment = PRODUCTION | {"DATABASE_URL": dsn}
    await prepare_database(load_settings(environment))
    async with session_to(dsn) as session:
        states = await session.fetch("SELECT status, operator_status FROM markets")
        assert {tuple(row) for row in states} == {("CANCEL_ONLY", "CANCEL_ONLY")}
    refused = await _invoke(environment, "market", "resume", "BTC-PERP")
    assert (refused.exit_code, "has no price sources" in refused.output) == (1, True)
    assert (await _invoke(environment, "market", "sources", "BTC-PERP", "--none")).exit_code == 2
    async with session_to(postgres_dsn) as server:
        await server.execute("DROP DATABASE production WITH (FORCE)")


async def test_an_index_of_sources_is_moved_by_them_alone(database: str) -> None:
    """`set-index` is for constant ones."""
    async with session_to(database) as session:
        await session.execute(
            """UPDATE markets SET price_sources = '[{"name": "a", "weight": 1, "maxAgeMs": 1000}]', price_quorum = 1"""
        )
    refused = await _invoke({"DATABASE_URL": database}, "market", "set-index", "BTC-PERP", "60000")
    assert (refused.exit_code, "has price sources" in refused.output) == (1, True)
    shown = await _invoke({"DATABASE_URL": database}, "market", "sources", "BTC-PERP", "--json")
    assert (shown.exit_code, '"maxAgeMs": 1000' in shown.output) == (0, True)


async def test_a_settlement_says_what_it_does_and_asks(database: str) -> None:
    """Both steps in order; without a yes nothing reaches the log; a step already taken is only reported."""
    settle, environment = ("market", "settle", "BTC-PERP"), {"DATABASE_URL": database}
    early = await _invoke(environment, *settle, "--final", "--yes")
    assert early.exit_code == 1
    assert early.stderr.startswith("Error: BTC-PERP is ACTIVE: run `market settle BTC-PERP` first")
    asked = await _invoke(environment, *settle)  # nobody answers
    assert asked.exit_code == 1
    assert "becomes SETTLEMENT_ONLY" in asked.stdout
    assert "they would be closed at 60000, the index" in asked.stdout
    assert "This cannot be undone. Continue?" in asked.stdout
    async with session_to(database) as session:
        await session.execute(
            "UPDATE markets SET status = 'CANCEL_ONLY', operator_status = 'SETTLEMENT_ONLY', is_frozen = true"
        )
        assert (await _invoke(environment, *settle)).stdout == "BTC-PERP is SETTLEMENT_ONLY\n"
        asked = await _invoke(environment, *settle, "--final")
        assert "becomes SETTLED and never trades again" in asked.stdout
        assert "its price sources are below their quorum" in asked.stdout
        await session.execute("UPDATE markets SET status = 'SETTLED', operator_status = 'SETTLED'")
        assert (await _invoke(environment, *settle)).stderr == "Error: BTC-PERP is SETTLED already\n"
        done = await _invoke(environment, *settle, "--final")
        assert (done.exit_code, done.stdout) == (0, "BTC-PERP is SETTLED: no position was open\n")
        assert await session.fetchval("SELECT command_seq FROM counters WHERE market_id = 1") == 1, "only its listing"


TIERS = """{"riskTiers": [
  {"notionalUpTo": "50000", "initialMarginRate": "0.05", "maintenanceMarginRate": "0.005", "maxLeverage": 20},
  {"notionalUpTo": "250000", "initialMarginRate": "0.1", "maintenanceMarginRate": "0.05", "maxLeverage": 10}
], "maxOpenInterest": "5000000"}"""


async def test_a_change_that_brings_accounts_below_maintenance_is_refused_with_their_number(
    database: str, tmp_path: Path
) -> None:
    """It says what would change, and nothing reaches the log; --force sends it."""
    (tmp_path / "limits.json").write_text(TIERS)
    change, environment = ("market", "set", "BTC-PERP", str(tmp_path / "limits.json")), {"DATABASE_URL": database}
    async with session_to(database) as session:
        for _ in range(2):
            await hold(session, await user_with(session, 3_750 * USDC), 1, lots=2_000, cost=120_000 * USDC)
        refused = await _invoke(environment, *change)
        assert refused.exit_code == 1
        assert refused.stdout.splitlines() == [
            "riskTiers: none -> up to 50000 at 0.05 / 0.005, leverage 20; up to 250000 at 0.1 / 0.05, leverage 10",
            "maxOpenInterest: none -> 5000000",
        ]
        assert refused.stderr == (
            "Error: 2 accounts would fall below maintenance, and be liquidated; --force changes it anyway\n"
        )
        assert await session.fetchval("SELECT command_seq FROM counters WHERE market_id = 1") == 1, "only its listing"
        await session.execute("DELETE FROM positions WHERE user_id = (SELECT max(user_id) FROM positions)")
        assert "Error: 1 account would fall" in (await _invoke(environment, *change)).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"tickSize": "1"}', "tickSize of a listed market never changes"),
        ('{"id": "ETH-PERP", "maxLeverage": 10}', "id of a listed market never changes; maxLeverage of a listed"),
        ('{"riskTiers": [{"notionalUpTo": "1"}]}', "riskTiers[0].initialMarginRate is missing"),
        ('{"riskTiers": 1}', "riskTiers must be a list"),
        (TIERS.replace("250000", "40000"), "riskTiers: notionalUpTo rises"),
        ('{"maxOpenInterest": "-1"}', "maxOpenInterest is not a decimal number"),
        ('{"more": 1}', "unknown field 'more'"),
        ("[]", "one JSON object"),
    ],
)
async def test_limits_that_a_market_cannot_have_never_reach_the_log(
    database: str, tmp_path: Path, content: str, said: str
) -> None:
    """Wrong use, with the reason."""
    (tmp_path / "limits.json").write_text(content)
    refused = await _invoke({"DATABASE_URL": database}, "market", "set", "BTC-PERP", str(tmp_path / "limits.json"))
    assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output


async def test_a_market_that_has_these_limits_already_gets_no_command(database: str, tmp_path: Path) -> None:
    """The whole file of a market, and a part of it."""
    for content in ('{"riskTiers": [], "maxLeverage": 20}', "{}"):
        (tmp_path / "limits.json").write_text(content)
        same = await _invoke({"DATABASE_URL": database}, "market", "set", "BTC-PERP", str(tmp_path / "limits.json"))
        assert (same.exit_code, same.stdout) == (0, "BTC-PERP is so already\n")


@pytest.mark.parametrize("percent", ["0", "51", "-50.1", "x", "1e1", "0.00001", "--6", "NaN"])
def test_a_shock_is_a_percentage(percent: str) -> None:
    """From -50 to 50."""
    assert CliRunner().invoke(cli, ["demo", "shock", "BTC-PERP", percent]).exit_code == 2


def test_a_shock_needs_a_demo(tmp_path: Path) -> None:
    """One that runs in DATA."""
    answer = CliRunner(env={"DATA": str(tmp_path)}).invoke(cli, ["demo", "shock", "BTC-PERP", "-6"])
    assert (answer.exit_code, "no demo runs" in answer.output) == (1, True)


async def _invoke(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, words)
