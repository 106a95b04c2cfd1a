"""What the inspection commands show: a table, and an exit code."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from agents.worker.ownership import working
from agents.worker.presence import seen
from app.cli import cli
from app.operator import dead_letters
from app.settings import load_settings
from app.unreachable import BrokerSilent, unreachable
from schemas.wire import RULES_VERSION
from store.markets.halts import halt
from store.session.presence import Task, Work
from tests.eventually import eventually
from tests.store.account_builder import session_to

ROOT = Path(__file__).parents[2]


async def test_an_audit_shows_what_it_has_found(database: str) -> None:
    """One line for each finding, exit 1; with --json the same as names and values."""
    async with session_to(database) as session:
        await session.execute("UPDATE ledger SET amount = amount + 1 WHERE account = -3")
    shown = await _type(database, "audit")
    assert (shown.exit_code, "conservation" in shown.output) == (1, True), shown.output
    listed = await _type(database, "audit", "--deep", "--json")
    assert listed.exit_code == 1
    assert {"invariant", "subject", "expected", "got"} == set(json.loads(listed.output)[0])


async def test_a_process_that_works_at_no_log_is_seen_too(database: str) -> None:
    """By what it was started as, where it runs and where its metrics are; no longer when it has ended."""
    async with seen("prices", database, "127.0.0.1:9100"):
        (row,) = await eventually(lambda: _rows(database))
        assert row == {
            "process": "prices",
            "at": f"{os.uname().nodename[:20]}:{os.getpid()}",
            "metrics": "http://127.0.0.1:9100/metrics",
            "works_for": None,
        }
    assert await _rows(database) == []
    rows = json.loads((await _type(database, "status", "--json")).output)
    assert {row["owner"] for row in rows} == {None}


async def test_each_market_is_shown_at_a_glance(database: str) -> None:
    """Status, rules, mark, owner, progress and lag, and why the exchange halted it; exit 1 above 10 s of lag."""
    async with session_to(database) as session, seen("engine", database, "127.0.0.1:9100"):
        await session.execute("UPDATE progress SET command_seq = 1, event_seq = 1 WHERE market_id = 1")
        await session.execute("UPDATE markets SET mark = 600005 WHERE market_id = 1")
        await session.execute("UPDATE markets SET status = 'HALTED', halted_reason = 'a test' WHERE market_id = 2")
        await session.execute("UPDATE outbox SET created_at = now() - interval '1 hour'")
        with working(Task(Work.ENGINE, "BTC-PERP")):
            btc, eth = await eventually(lambda: _glance(database, owned="BTC-PERP"))
    place = f"{os.uname().nodename[:20]}:{os.getpid()}"
    assert btc == {
        "market": "BTC-PERP",
        "status": "ACTIVE",
        "rules": RULES_VERSION,
        "mark": "60000.5",
        "owner": place,
        "shard": "main",
        "commands": 1,
        "events": 1,
        "behind": 0,
        "behind_s": 0.0,
        "halted": None,
        "rests": None,
    }
    assert (eth["status"], eth["owner"], eth["commands"], eth["behind"], eth["halted"]) == (
        "HALTED",
        None,
        0,
        1,
        "a test",
    )
    assert 3_600 <= eth["behind_s"] < 7_200
    shown = await _type(database, "status")
    assert shown.exit_code == 1
    names, *lines = [line.split() for line in shown.output.splitlines()]
    assert (names[:6], set(names)) == (["market", "status", "behind_s", "behind", "halted", "rests"], set(btc))
    assert lines[0] == [
        "BTC-PERP",
        "ACTIVE",
        "0.0",
        "0",
        "-",
        "-",
        "60000.5",
        "-",
        "main",
        str(RULES_VERSION),
        "1",
        "1",
    ]


async def test_a_drain_names_the_markets_it_skips(database: str) -> None:
    """One that the exchange has halted is left out of a drain of all, exit 0; asked for by its name it is not drained, exit 1."""
    async with session_to(database) as session:
        await halt(session, "ETH-PERP", "for a test")
        draining = asyncio.create_task(_type(database, "drain", "--json"))
        await eventually(lambda: session.fetchval("SELECT command_seq = 2 FROM counters WHERE market_id = 1"))
        await session.execute("UPDATE progress SET command_seq = 2 WHERE market_id = 1")
        drained = await draining
        assert await session.fetchval("SELECT command_seq FROM counters WHERE market_id = 2") == 1
    assert (drained.exit_code, drained.stderr) == (0, "skipped, halted by the exchange: ETH-PERP\n")
    assert [row["marketId"] for row in json.loads(drained.stdout)] == ["BTC-PERP"]
    named = await _type(database, "drain", "--market", "ETH-PERP")
    assert (named.exit_code, named.stderr) == (1, "Error: ETH-PERP is not drained: the exchange has halted it\n")


async def test_status_keeps_showing_what_changes(database: str) -> None:
    """--watch shows the markets again: a mark that moves is the one that is shown next."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "status", "--watch", "--json"),
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with session_to(database) as session:
            for ticks, mark in ((600_000, "60000"), (610_005, "61000.5")):
                await session.execute("UPDATE markets SET mark = $1", ticks)
                await asyncio.wait_for(_until_line(process, f'"mark": "{mark}"'), 30)
    finally:
        process.kill()
        await process.wait()


def test_status_keeps_showing_while_the_database_is_down(database: str) -> None:
    """--watch ends by Ctrl-C alone."""
    no_database = database.replace("host=", "host=/nowhere")
    watch = subprocess.Popen(
        [sys.executable, "-m", "app", "status", "--watch"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": no_database},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    for _ in range(2):
        assert "cannot be reached" in watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    _, said = watch.communicate()
    assert (watch.returncode, said) == (130, "")  # without a word, as shells count an end by Ctrl-C


def test_the_part_that_does_not_answer_is_named(database: str) -> None:
    """Exit 1, whichever it is: no broker listens here, or no database."""
    no_database = database.replace("host=", "host=/nowhere")
    for address, part in ((database, "broker"), (no_database, "database")):
        verify = subprocess.run(
            [sys.executable, "-m", "app", "verify", "--market", "BTC-PERP"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": address, "BROKER_URL": "127.0.0.1:1"},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert verify.returncode == 1, verify.stderr
        assert f"its {part} does not answer" in verify.stderr


async def test_a_silence_is_reported_of_the_part_that_is_silent(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be read to its end in time, and a database that is not reached in time: one error, two causes."""
    settings = load_settings({"DATABASE_URL": database, "BROKER_URL": "127.0.0.1:1"})

    async def silent(_: str) -> NoReturn:
        raise TimeoutError

    monkeypatch.setattr("broker.dead_letters.read_dead_letters", silent)
    with pytest.raises(BrokerSilent) as raised:
        await dead_letters(settings)
    assert "its broker" in unreachable(raised.value)
    assert "its database" in unreachable(TimeoutError())


async def _glance(database: str, owned: str) -> list[dict[str, Any]]:
    """What `status` shows, as soon as a market has an owner."""
    rows: list[dict[str, Any]] = json.loads((await _type(database, "status", "--json")).output)
    return rows if any(row["owner"] for row in rows if row["market"] == owned) else []


async def _until_line(process: asyncio.subprocess.Process, holding: str) -> None:
    assert process.stdout is not None
    while holding not in (line := (await process.stdout.readline()).decode()):
        assert line, "it has ended"


async def _rows(database: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((await _type(database, "status", "--workers", "--json")).output)
    return rows


async def _type(database: str, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env={"DATABASE_URL": database, "COLUMNS": None}).invoke, cli, words)
