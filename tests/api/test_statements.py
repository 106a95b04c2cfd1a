"""Monthly statements: they add up to the micro, and one month closes as the next one opens."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.units import MICRO_E18, parse_whole_units
from store.money.ledger import EntryType
from store.queries.accounts.statements import SUMS, next_month
from tests.api.exchange import Client, Exchange
from tests.api.test_exports import traded

PARTS = ["deposits", "withdrawals", "realizedPnl", "fees", "funding", "liquidationFees", "insurance", "corrections"]
POST = """
INSERT INTO ledger (account, type, amount, balance_after, transfer_id, at)
VALUES ($1, $2, $3, $3 + coalesce((SELECT balance_after FROM ledger WHERE account = $1 ORDER BY entry_id DESC LIMIT 1), 0), 0, $4)
"""


def micros(text: str) -> int:
    """A decimal string as micros."""
    number = parse_whole_units(text.removeprefix("-"), MICRO_E18)
    assert number is not None
    return -number if text.startswith("-") else number


def adds_up(statement: dict[str, Any]) -> bool:
    """Opening and all sums are the closing, to the micro."""
    return micros(statement["opening"]) + sum(micros(statement[part]) for part in PARTS) == micros(statement["closing"])


async def read(client: Client, month: str) -> dict[str, Any]:
    """The statement of a month."""
    reply = await client.get(f"/statements/{month}")
    assert reply.status == 200, reply.body
    body: dict[str, Any] = reply.body
    return body


async def test_the_statement_of_this_month_is_what_the_ledger_says(exchange: Exchange) -> None:
    """Deposits, a withdrawal, trades and fees, each as the ledger has it."""
    alice, _ = await traded(exchange)
    await alice.withdraw("0.000001")
    this = f"{datetime.now(UTC):%Y-%m}"
    statement = await read(alice, this)
    ledger = (await alice.get("/ledger?limit=500")).body["data"]
    in_month = [entry for entry in ledger if statement["from"] <= entry["time"] < statement["to"]]
    before = sum(micros(entry["amount"]) for entry in ledger if entry["time"] < statement["to"])
    assert adds_up(statement)
    assert (micros(statement["closing"]), statement["entries"]) == (before, len(in_month))
    assert (statement["deposits"], statement["withdrawals"]) == ("100000", "-0.000001")
    fees = sum(micros(entry["amount"]) for entry in in_month if entry["type"] == "TRADING_FEE")
    assert micros(statement["fees"]) == fees < 0
    assert (statement["isFinal"], statement["corrections"]) == (False, "0")


async def test_a_month_opens_as_the_one_before_closes(exchange: Exchange) -> None:
    """Also where entries were posted out of the order of their times, and over months without any."""
    alice = await exchange.user(None)
    posted = [
        ("DEPOSIT", 1_000_000_000, datetime(2024, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("TRADING_FEE", -300_001, datetime(2024, 12, 1, tzinfo=UTC)),
        ("REALIZED_PNL", -5_000_007, datetime(2024, 11, 30, 23, 59, 59, tzinfo=UTC)),  # of another market's log
        ("FUNDING_PAYMENT", 17, datetime(2024, 12, 31, 23, 59, tzinfo=UTC)),
        ("WITHDRAW", -100, datetime(2025, 3, 1, tzinfo=UTC)),
        ("LIQUIDATION_FEE", -9, datetime(2025, 2, 28, 23, tzinfo=UTC)),
        ("INSURANCE_FUND_CREDIT", 3, datetime(2025, 3, 9, tzinfo=UTC)),
        ("ANOTHER_TYPE", 4, datetime(2025, 3, 31, 23, 59, tzinfo=UTC)),
    ]
    for type_, amount, at in posted:
        await exchange.execute(POST, alice.user, type_, amount, at)
    closing, month, entries = 0, datetime(2024, 10, 1, tzinfo=UTC), 0
    while month < datetime(2025, 6, 1, tzinfo=UTC):
        statement = await read(alice, f"{month:%Y-%m}")
        assert adds_up(statement), month
        assert (micros(statement["opening"]), statement["isFinal"]) == (closing, True), month
        last = next_month(month)
        assert micros(statement["closing"]) == sum(amount for _, amount, at in posted if at < last), month
        closing, month, entries = micros(statement["closing"]), last, entries + statement["entries"]
    assert entries == len(posted)
    march = await read(alice, "2025-03")
    assert (march["withdrawals"], march["insurance"], march["corrections"]) == ("-0.0001", "0.000003", "0.000004")


async def test_an_account_without_entries_has_empty_statements(exchange: Exchange) -> None:
    """Zero everywhere, and nothing of others."""
    await traded(exchange, 1)
    nobody = await exchange.user(None)
    statement = await read(nobody, f"{datetime.now(UTC):%Y-%m}")
    assert {statement[part] for part in (*PARTS, "opening", "closing")} == {"0"}
    assert statement["entries"] == 0


@pytest.mark.parametrize(
    "month",
    ["2025-13", "2025-00", "2025-1", "1999-12", "9999-12", "2099-01", "x", "2025-01-01", "\u0662\u0660\u0662\u0665-01"],
)
async def test_what_is_no_month_is_not_found(exchange: Exchange, month: str) -> None:
    """NOT_FOUND, the future included."""
    alice = await exchange.user(None)
    assert (await alice.get(f"/statements/{month}")).code == "NOT_FOUND"


def test_each_type_of_entry_has_its_sum() -> None:
    """A new type must be placed here, or be a correction."""
    assert set(EntryType) - SUMS.keys() <= {"CORRECTION"}
