"""The recorded crash day (scenario.json): -35 % over 500 accounts, through the real stream."""

import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import psutil
import pytest

from schemas.units import timestamp_of
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from store.queries.accounts.statements import read_statement
from tests.api.test_statements import adds_up, micros
from tests.conftest import Broker
from tests.crash_day.day import Day
from tests.crash_day.playing import day_on
from tests.crash_day.proofs import digest, find_orphans, find_unresolved, fund_by_receipts, read_grids, read_steps
from tests.crash_day.receipts import FUND, Step, check_receipts
from tests.crash_day.scenario import load_scenario
from tests.recorded.day import LISTED, check_as_recorded, outcome_of

USDC = 10**6
ACCOUNT_MONTHS = """
SELECT account, date_trunc('month', at, 'UTC') AS month, sum(amount)::int8 AS posted FROM ledger
WHERE account > 0 GROUP BY account, month ORDER BY account, month
"""
ADL_FILLS = "SELECT count(*) / 2 FROM fills WHERE cause = 'ADL'"


@pytest.mark.timeout(900)
async def test_the_crash_day_leaves_nothing_unresolved_and_is_the_same_twice(
    broker: Broker, database: str, second_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partial fills, take-overs, a fund that runs out, deleveraging; then every receipt and every sum is recomputed.

    Played again, with the engines in memory, it has the same digest over receipts, fills, fund and all events, and the
    commands and REST answers that were recorded (tests/recorded).
    """
    begun_s = _cpu_s()
    scenario = load_scenario()
    async with day_on(scenario, database, broker, tmp_path) as day:
        assert len(day.members) == 500
        await day.play()
        steps = await read_steps(day.session)
        played = await digest(day.session, day.venue, await day.markets())
        with capsys.disabled():
            sys.stdout.write(await _numbers(day, steps, _cpu_s() - begun_s))
        await _check_outcome(day)
        check_receipts(steps, await read_grids(day.session))
        assert await fund_by_receipts(day.session, steps, int(scenario.fund) * USDC) == await day.fund()
        _check_it_was_a_crash(day, steps)
    async with day_on(scenario, second_database, None, tmp_path, LISTED) as twin:
        await twin.play()
        assert await digest(twin.session, twin.venue, await twin.markets()) == played
        check_as_recorded(await outcome_of(second_database, twin))


async def _check_outcome(day: Day) -> None:
    assert await find_unresolved(day.session) == []
    assert await find_orphans(day.session, day.venue, await day.markets()) == []
    assert await audit(day.session) == []
    assert await deep_audit(day.session) == []
    ended = await day.session.fetchval("SELECT count(*) FROM liquidation_steps WHERE done_at IS NULL")
    assert ended == 0
    await _check_statements(day)


async def _check_statements(day: Day) -> None:
    """The statement of each account's months adds up, is the sum of the ledger's entries, and ends with the wallet."""
    rows = await day.session.fetch(ACCOUNT_MONTHS)
    assert len({row["account"] for row in rows}) >= len(day.members)
    closed: dict[int, int] = {}
    for row in rows:
        statement = await read_statement(day.session, row["account"], row["month"], timestamp_of(row["month"]))
        parts = msgspec.to_builtins(statement)
        assert adds_up(parts)
        assert micros(parts["opening"]) == closed.get(row["account"], 0)
        assert micros(parts["closing"]) - micros(parts["opening"]) == row["posted"]
        closed[row["account"]] = micros(parts["closing"])
    wallets = {row["user_id"]: row["wallet"] for row in await day.session.fetch("SELECT user_id, wallet FROM accounts")}
    assert closed.items() <= wallets.items()


def _check_it_was_a_crash(day: Day, steps: list[Step]) -> None:
    """What the day is there for did happen."""
    kinds = Counter(step.action for step in steps)
    assert kinds["TAKE_OVER"] > 20
    assert kinds["ADL"] > 20
    assert day.fund_low < 0, "the fund did not run out"
    partial = [step for step in steps if step.action == "LIQUIDATION" and step.outcome and step.outcome["fee"]]
    assert len(partial) > 20


async def _numbers(day: Day, steps: list[Step], cpu_s: float) -> str:
    """A table of the day's results."""
    kinds = Counter(step.action for step in steps)
    filled = sum(1 for step in steps if step.action == "LIQUIDATION" and step.outcome and step.outcome["quantity"])
    fetch = day.session.fetchval
    rows = {
        "accounts": len(day.members),
        "orders sent, refused": f"{day.orders}, {sum(day.refused.values())}",
        "events": await fetch("SELECT sum(event_seq) FROM progress"),
        "fills": await fetch("SELECT count(*) / 2 FROM fills"),
        "accounts liquidated": len({step.user for step in steps if step.action != "MARGIN_CALL"} - {FUND}),
        "liquidation steps, filled": f"{kinds['LIQUIDATION']}, {filled}",
        "take-overs, fund sales": f"{kinds['TAKE_OVER']}, {kinds['FUND_SALE']}",
        "deleveragings, their fills": f"{kinds['ADL']}, {await fetch(ADL_FILLS)}",
        "liquidation fees": await fetch(
            "SELECT sum(amount) / 1e6 FROM ledger WHERE type = 'LIQUIDATION_FEE' AND amount > 0"
        ),
        "fund at start, low, final": f"{day.scenario.fund}, {day.fund_low / USDC:.2f}, {await day.fund() / USDC:.2f}",
        "funding intervals, paid": f"{await fetch('SELECT count(*) FROM fundings')}, "
        f"{await fetch('SELECT sum(amount) / 1e6 FROM funding_payments WHERE amount > 0')}",
        "looks": day.looks,
        "cpu of this process and its children, s": round(cpu_s, 1),
    }
    return "\n" + "".join(f"  {name}: {value}\n" for name, value in rows.items())


def _cpu_s() -> float:
    """CPU seconds of this process and all below it: PostgreSQL and the broker."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total
