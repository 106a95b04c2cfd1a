"""`user …` and `acts`: what administrators do over REST, typed."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.operator import keep_report, shell_operator
from app.settings import load_settings
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from store.users.users import create_user
from tests.conftest import STARTED_AT
from tests.store.account_builder import session_to
from tests.store.roles import as_role, make_roles

WHY = ("--reason", "ticket 12")


async def typed(database: str, *words: str) -> Result:
    """Type a command."""
    return await asyncio.to_thread(CliRunner(env={"DATABASE_URL": database, "COLUMNS": None}).invoke, cli, words)


async def listed(database: str, *words: str) -> Any:
    """What a command prints with --json."""
    done = await typed(database, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


async def ann_on(database: str) -> int:
    """A user without money."""
    async with session_to(database) as session:
        ann = await create_user(session, "ann@x.io", "hash", STARTED_AT)
    assert ann is not None
    return ann


async def test_an_account_is_frozen_corrected_and_shown(database: str) -> None:
    """By e-mail or id; each act is printed as the log has it, with the account of the shell; both audits stay exact."""
    ann = await ann_on(database)
    (frozen,) = await listed(database, "user", "freeze", "ANN@x.io", *WHY)
    assert (frozen["action"], frozen["userId"], frozen["shell"], frozen["operatorId"], frozen["reason"]) == (
        "FREEZE",
        str(ann),
        shell_operator().shell,
        None,
        "ticket 12",
    )
    for _ in range(2):
        (given,) = await listed(database, "user", "correct", str(ann), "--credit", "12.5", "--key", "once", *WHY)
        assert given["after"] == {"total": "12.5", "amount": "12.5"}
    (shown,) = await listed(database, "user", "show", "ann@x.io")
    assert (shown["balance"]["total"], shown["balance"]["available"], shown["positions"]) == ("12.5", "0", [])
    assert shown["user"]["frozenAt"] == frozen["after"]["frozenAt"]
    assert [each["userId"] for each in await listed(database, "user", "list", "--frozen")] == [str(ann)]
    (entry,) = await listed(database, "user", "ledger", str(ann))
    assert (entry["type"], entry["amount"]) == ("CORRECTION", "12.5")
    assert await listed(database, "user", "orders", str(ann)) == []
    for name, action in (("unfreeze", "UNFREEZE"), ("revoke-keys", "REVOKE_KEYS"), ("end-sessions", "END_SESSIONS")):
        assert (await listed(database, "user", name, str(ann), *WHY))[0]["action"] == action
    log = await listed(database, "acts", "--user", "ann@x.io")
    assert [each["action"] for each in log] == ["END_SESSIONS", "REVOKE_KEYS", "UNFREEZE", "CORRECT_BALANCE", "FREEZE"]
    async with session_to(database) as session:
        assert await audit(session) == []
        assert await deep_audit(session) == []


async def test_tables_are_for_people(database: str) -> None:
    """Without --json: one line a value, and the log as a table."""
    await ann_on(database)
    assert "ann@x.io" in (await typed(database, "user", "show", "ann@x.io")).output
    assert "no such user" in (await typed(database, "user", "list", "--search", "bob")).output
    assert (await typed(database, "acts")).output == "no act is recorded\n"
    done = await typed(database, "user", "freeze", "ann@x.io", *WHY)
    assert (done.exit_code, "FREEZE" in done.output) == (0, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("freeze", "ann@x.io"), 2),
        (("freeze", "ann@x.io", "--reason", " "), 2),
        (("freeze", "ann@x.io", "--reason", "a\x1b[2J"), 2),
        (("freeze", "ann@x.io", "--reason", "x" * 501), 2),
        (("freeze", "nobody@x.io", *WHY), 1),
        (("freeze", "999999", *WHY), 1),
        (("freeze", "-3", *WHY), 2),
        (("freeze", "insurance-fund", *WHY), 1),
        (("correct", "ann@x.io", "--key", "k", *WHY), 2),
        (("correct", "ann@x.io", "--credit", "1", "--debit", "1", "--key", "k", *WHY), 2),
        (("correct", "ann@x.io", "--credit", "1", *WHY), 2),
        (("correct", "ann@x.io", "--credit", "1e3", "--key", "k", *WHY), 1),
        (("correct", "ann@x.io", "--credit", "-5", "--key", "k", *WHY), 1),
        (("correct", "ann@x.io", "--debit", "-5", "--key", "k", *WHY), 1),
        (("correct", "ann@x.io", "--debit", "1", "--key", "k", *WHY), 1),
        (("correct", "ann@x.io", "--credit", "1", "--key", "two words", *WHY), 1),
        (("revoke-admin", "ann@x.io", *WHY), 1),
        (("show", "nobody@x.io"), 1),
    ],
)
async def test_wrong_use_does_nothing(database: str, words: tuple[str, ...], code: int) -> None:
    """Exit 2 for what cannot be meant, 1 for what is refused; nothing is logged."""
    await ann_on(database)
    done = await typed(database, "user", *words)
    assert done.exit_code == code, done.output
    async with session_to(database) as session:
        assert await session.fetchval("SELECT count(*) FROM operator_acts") == 0
        assert await session.fetchval("SELECT wallet FROM accounts WHERE user_id > 0") == 0


async def test_a_report_that_a_role_may_not_keep_is_no_failure(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an upgrade whose grants were forgotten: `verify` says so, and its report is printed."""
    await make_roles(database)
    for role, kept in (("clock", 0), ("reader", 1)):
        settings = load_settings({"DATABASE_URL": as_role(database, role)})
        await keep_report(settings, "BTC-PERP", {"differencesFound": 0}, 5)
        async with session_to(database) as session:
            assert await session.fetchval("SELECT count(*) FROM verifications") == kept
        assert ("not kept" in capsys.readouterr().err) == (kept == 0)


async def test_other_acts_of_the_command_line_are_logged_too(database: str) -> None:
    """Halt, drain, placement and grants, with their reasons and the state before."""
    await ann_on(database)
    unheard = typed(database, "market", "halt", "ETH-PERP", "--reason", "drill")
    placed = typed(database, "market", "place", "ETH-PERP", "--shard", "quiet")
    granted = typed(database, "admin", "grant", "ann@x.io", "--reason", "on call")
    late, *done = await asyncio.gather(unheard, placed, granted)
    assert (late.exit_code, [each.exit_code for each in done]) == (1, [0, 0]), "no worker runs here"
    log = {each["action"]: each for each in await listed(database, "acts")}
    assert (log["SET_STATUS"]["before"], log["SET_STATUS"]["after"]["status"]) == ({"status": "ACTIVE"}, "HALTED")
    assert (log["SET_STATUS"]["marketId"], log["SET_STATUS"]["reason"]) == ("ETH-PERP", "drill")
    assert (log["PLACE_MARKET"]["before"], log["PLACE_MARKET"]["after"]) == ({"shard": "main"}, {"shard": "quiet"})
    assert (log["GRANT_ADMIN"]["after"], log["GRANT_ADMIN"]["reason"]) == ({"role": "admin"}, "on call")
    assert [each["action"] for each in await listed(database, "acts", "--market", "ETH-PERP", "--limit", "1")]
