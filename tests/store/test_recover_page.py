"""docs/recover.md: the statements that an operator types into a database in trouble do what the page says."""

import re
import textwrap
from pathlib import Path

import asyncpg

from schemas.orders import Side
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from tests.store.projection_builders import an_order, open_exchange

PAGE = (Path(__file__).parents[2] / "docs" / "recover.md").read_text()
BTC = "BTC-PERP"
BY_HAND = (
    "UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 1",
    "UPDATE ledger SET balance_after = balance_after - 2 WHERE account = 2",
    """
    INSERT INTO ledger (account, type, amount, balance_after, transfer_id, at)
    VALUES (1, 'DEPOSIT', 500, 7, 99, now()), (-1, 'DEPOSIT', -500, NULL, 99, now())
    """,
)
"""What no event writes: a wallet, balances that differ from entries, a deposit without its wallet."""


def statements(heading: str) -> list[str]:
    """The SQL blocks and the SELECTs in the text of a section."""
    (section,) = [part for part in PAGE.split("\n## ") if part.startswith(f"{heading}\n")]
    return [
        *(textwrap.dedent(block) for block in re.findall(r"```sql\n(.*?)```", section, re.DOTALL)),
        *re.findall(r"`(SELECT [^`]*FROM[^`]*)`", section),
    ]


async def test_what_was_changed_by_hand_is_put_right(database: str) -> None:
    """Wrong sum: for any change of wallets and balances the entries decide, and then both audits are clean."""
    exchange = await open_exchange(database)
    buyer, seller = [await exchange.user(f"{name}@x.io", "100000") for name in ("ann", "bob")]
    for user, side in ((buyer, Side.BUY), (seller, Side.SELL)):
        await exchange.submit(BTC, an_order(user, side, 100, 600_000))
    await exchange.settle()
    assert await audit(exchange.session) == await deep_audit(exchange.session) == []
    for statement in BY_HAND:
        await exchange.session.execute(statement)
    assert {finding.subject for finding in await audit(exchange.session)} > {"user 1"}
    (repair,) = statements("Wrong sum")
    await exchange.session.execute(repair)
    assert await audit(exchange.session) == await deep_audit(exchange.session) == []
    await exchange.close()


async def test_the_session_that_holds_the_rows_is_found(database: str) -> None:
    """Stuck lag: the oldest writer is the first row, and when it is terminated its rows are free."""
    frozen, operator = [await asyncpg.connect(database) for _ in range(2)]
    await frozen.execute("SET application_name = 'projection BTC-PERP'; BEGIN; UPDATE markets SET mark = mark")
    (query,) = statements("Stuck lag")
    first = (await operator.fetch(query))[0]
    assert (first["pid"], first["application_name"]) == (frozen.get_server_pid(), "projection BTC-PERP")
    await operator.execute("SELECT pg_terminate_backend($1)", first["pid"])
    await operator.execute("UPDATE markets SET mark = mark", timeout=10)
    frozen.terminate()
    await operator.close()
