"""The small SQL functions say what Python says, and cost a query neither its index nor a call for each row."""

from schemas.ids import order_key, seq_of_order_key
from store.money.ledger import House
from tests.store.account_builder import session_to

SEQUENCE_MAX = 2**40 - 1


async def test_an_order_key_is_the_same_in_sql(database: str) -> None:
    """Made of market and sequence, and taken apart again."""
    async with session_to(database) as session:
        for market_id, seq in ((1, 1), (2, 57), (7, SEQUENCE_MAX), (2**22, 12)):
            key = await session.fetchval("SELECT order_key($1, $2)", market_id, seq)
            assert key == order_key(market_id, seq)
            assert await session.fetchval("SELECT seq_of_order_key($1)", key) == seq_of_order_key(key) == seq


async def test_each_house_account_has_one_number(database: str) -> None:
    """In Python, in the SQL function and in the table; a name that is none has no number."""
    async with session_to(database) as session:
        rows = await session.fetch("SELECT name, account, house_account(name) AS number FROM house_accounts")
        assert {row["name"].upper(): row["account"] for row in rows} == {house.name: int(house) for house in House}
        assert [row["number"] for row in rows] == [row["account"] for row in rows]
        assert await session.fetchval("SELECT house_account('nobody')") is None


async def test_the_functions_are_inlined(database: str) -> None:
    """The fund's partial index and the orders' key serve as if the numbers were written out."""
    async with session_to(database) as session:
        await session.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        fund = "SELECT sum(amount) FROM ledger WHERE account = house_account('insurance') AND entry_id > 5"
        plan = str(await session.fetch(f"EXPLAIN {fund}"))
        assert ("ledger_of_fund" in plan, "house_account" in plan) == (True, False)
        order = "SELECT o.price FROM markets m JOIN orders o ON o.order_id = order_key(m.market_id, 5)"
        plan = str(await session.fetch(f"EXPLAIN {order} WHERE m.name = 'BTC-PERP'"))
        assert ("orders_pkey" in plan, "order_key" in plan) == (True, False)
