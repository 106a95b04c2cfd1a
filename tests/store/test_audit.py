"""The checkers are checked: each corruption, one row and one micro or lot, is found, and clean books are clean."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from schemas.commands import CancelOrder, SetIndex
from schemas.orders import OrderType, Side, TimeInForce
from schemas.units import Lots, Nanos
from store.audit.audit import Finding, audit
from store.audit.invariants import INVARIANTS
from store.markets.candles import roll_candles
from tests.store.projection_builders import NOON, Exchange, a_stop, an_order, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"
ANY_FILL = "(market_id, trade_id, role) = (SELECT market_id, trade_id, role FROM fills ORDER BY 1, 2, 3 LIMIT 1)"
FIRST_TRADE = "(market_id, trade_id) = (SELECT market_id, min(trade_id) FROM fills GROUP BY market_id LIMIT 1)"
A_LIVE_ORDER = "order_id = (SELECT min(order_id) FROM orders WHERE is_live)"
A_WAITING_ORDER = (
    "order_id = (SELECT min(order_id) FROM orders WHERE is_waiting AND reduce_only AND NOT closes_position)"
)
TRIGGERED = "status = 'TRIGGERED'"
A_POSITION = "(user_id, market_id) = (SELECT user_id, market_id FROM positions WHERE lots <> 0 ORDER BY 1, 2 LIMIT 1)"
A_USER_ENTRY = "entry_id = (SELECT min(entry_id) FROM ledger WHERE account > 0 AND event_seq IS NOT NULL)"
A_HOUSE_ENTRY = "entry_id = (SELECT min(entry_id) FROM ledger WHERE account = -4)"

CORRUPTIONS = {
    "a wallet one micro richer": "UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 1",
    "a ledger entry one micro larger": f"UPDATE ledger SET amount = amount + 1 WHERE {A_USER_ENTRY}",
    "a house entry one micro smaller": f"UPDATE ledger SET amount = amount - 1 WHERE {A_HOUSE_ENTRY}",
    "a user's entry lost": f"DELETE FROM ledger WHERE {A_USER_ENTRY}",
    "a house entry lost": f"DELETE FROM ledger WHERE {A_HOUSE_ENTRY}",
    "an entry of an account that nobody has": f"UPDATE ledger SET account = 999 WHERE {A_USER_ENTRY}",
    "an entry moved to another user": (
        f"UPDATE ledger SET account = CASE account WHEN 1 THEN 2 ELSE 1 END WHERE {A_USER_ENTRY}"
    ),
    "a balance after an entry one micro off": f"UPDATE ledger SET balance_after = balance_after + 1 WHERE {A_USER_ENTRY}",
    "one micro moved between two wallets": (
        "UPDATE accounts SET wallet = wallet + CASE user_id WHEN 1 THEN 1 ELSE -1 END WHERE user_id IN (1, 2)"
    ),
    "money created with its entry": (
        "WITH w AS (UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 1 RETURNING wallet) INSERT INTO ledger "
        "(account, type, amount, balance_after, transfer_id, at) SELECT 1, 'DEPOSIT', 1, wallet, 99, '2027-01-01Z' FROM w"
    ),
    "a correction without an act": "UPDATE ledger SET type = 'CORRECTION' WHERE type = 'DEPOSIT' AND account = 1",
    "an act without a correction": "INSERT INTO operator_acts (at, shell, action, user_id, before, after, transfer_id, amount)"
    " VALUES (now(), 'root', 'CORRECT_BALANCE', 1, '{}', '{}', 1, 5)",
    "a fill missing": f"DELETE FROM fills WHERE {ANY_FILL}",
    "a whole trade missing": f"DELETE FROM fills WHERE {FIRST_TRADE}",
    "a fill doubled": (
        "INSERT INTO fills SELECT market_id, trade_id + 1000, role, event_seq, order_id, user_id, side, price, "
        f"quantity, notional, fee, realized, cause, at FROM fills WHERE {ANY_FILL}"
    ),
    "a fill one lot larger": f"UPDATE fills SET quantity = quantity + 1 WHERE {ANY_FILL}",
    "a fill one tick dearer": f"UPDATE fills SET price = price + 1 WHERE {ANY_FILL}",
    "a fill whose notional is off": f"UPDATE fills SET notional = notional + 1 WHERE {ANY_FILL}",
    "a fee one micro off": f"UPDATE fills SET fee = fee + 1 WHERE {ANY_FILL}",
    "a realized profit one micro off": f"UPDATE fills SET realized = realized - 1 WHERE {ANY_FILL}",
    "a fill given to another user": f"UPDATE fills SET user_id = user_id % 3 + 1 WHERE {ANY_FILL}",
    "a position one lot larger": f"UPDATE positions SET lots = lots + 1 WHERE {A_POSITION}",
    "a cost one micro off": f"UPDATE positions SET cost = cost + 1 WHERE {A_POSITION}",
    "a position's profit one micro off": f"UPDATE positions SET realized = realized + 1 WHERE {A_POSITION}",
    "a reservation never released": f"UPDATE positions SET buy_notional = buy_notional + 1 WHERE {A_POSITION}",
    "a stale reservation of lots": f"UPDATE positions SET sell_lots = sell_lots + 1 WHERE {A_POSITION}",
    "a stale open loss": f"UPDATE positions SET open_loss = open_loss - 1 WHERE {A_POSITION}",
    "a stale reserved fee": f"UPDATE positions SET open_fees = open_fees + 1 WHERE {A_POSITION}",
    **{
        f"{name} one off": f"UPDATE positions SET {name} = {name} + 1 WHERE {A_POSITION}"
        for name in (
            *("reduce_buy_lots", "reduce_sell_lots", "reduce_buy_notional", "reduce_sell_notional"),
            *("reduce_buy_cost", "reduce_sell_cost", "reduce_loss", "reduce_excess"),
        )
    },
    "a reduce-only order that records another excess": "UPDATE orders SET excess_per_lot = 1 WHERE is_live AND reduce_only",
    "an amend that is lost": "DELETE FROM amends WHERE verdict = 'PENDING'",
    "an amend that nobody accepted": "UPDATE amends SET command_seq = command_seq + 1 WHERE verdict = 'PENDING'",
    "an amend without a verdict": "UPDATE amends SET verdict = 'PENDING' WHERE verdict = 'DONE'",
    "an amend that adds a lot more than counts": "UPDATE amends SET added = added + 1 WHERE verdict = 'PENDING'",
    "lots of an amend that are not released": (
        "UPDATE orders SET amend_lots = 1 WHERE order_id = (SELECT order_id FROM amends WHERE verdict = 'DONE')"
    ),
    "an amended order with other terms than asked for": "UPDATE amends SET new_fee_per_lot = 0 WHERE verdict = 'DONE'",
    "an order that lost count of its amends": "UPDATE orders SET amend_count = 0",
    "an order counted twice": f"UPDATE positions SET live_orders = live_orders + 1 WHERE {A_POSITION}",
    "a live order one lot smaller": f"UPDATE orders SET remaining = remaining - 1 WHERE {A_LIVE_ORDER}",
    "a live order with another margin price": f"UPDATE orders SET margin_price = margin_price + 1 WHERE {A_LIVE_ORDER}",
    **{
        f"{name} one off": f"UPDATE positions SET {name} = {name} + 1 WHERE {A_POSITION}"
        for name in ("waiting_buy_lots", "waiting_sell_lots", "closing_buys", "closing_sells", "waiting_orders")
    },
    "a waiting order that is live as well": f"UPDATE orders SET is_live = true WHERE {A_WAITING_ORDER}",
    "a waiting order in the book": f"UPDATE orders SET status = 'OPEN' WHERE {A_WAITING_ORDER}",
    "a waiting order that has ended": f"UPDATE orders SET status = 'CANCELLED', reason = 'OCO' WHERE {A_WAITING_ORDER}",
    "a waiting order without a condition": f"UPDATE orders SET working_type = NULL WHERE {A_WAITING_ORDER}",
    "a waiting order with two conditions": f"UPDATE orders SET callback_rate = 5 WHERE {A_WAITING_ORDER}",
    "a waiting order that nothing has triggered": f"UPDATE orders SET status = 'TRIGGERED' WHERE {A_WAITING_ORDER}",
    "a waiting order that was filled": f"UPDATE orders SET filled_lots = 1 WHERE {A_WAITING_ORDER}",
    "a live order that waits for its condition": f"UPDATE orders SET status = 'UNTRIGGERED' WHERE {A_LIVE_ORDER}",
    "a triggered order that nobody activated is live": f"UPDATE orders SET is_live = true, is_waiting = false WHERE {TRIGGERED}",
    "a triggered order whose trigger is lost": f"UPDATE orders SET triggered_at = NULL WHERE {TRIGGERED}",
    "a trigger without its event": f"UPDATE orders SET triggered_event_seq = NULL WHERE {TRIGGERED}",
    "a triggered order that waits again": f"UPDATE orders SET status = 'UNTRIGGERED' WHERE {TRIGGERED}",
    "an activated order that waits": f"UPDATE orders SET activated_command_seq = 9 WHERE {TRIGGERED}",
    "an order that closes a position and may open one": "UPDATE orders SET reduce_only = false WHERE closes_position",
    "a leg of another parent": "UPDATE orders SET parent_order_id = 1 WHERE parent_order_id IS NOT NULL",
    "a parent that names another leg": (
        "UPDATE orders SET stop_loss_order_id = take_profit_order_id WHERE stop_loss_order_id IS NOT NULL"
    ),
    "a leg that its parent does not name": "UPDATE orders SET take_profit_order_id = NULL WHERE stop_loss_order_id IS NOT NULL",
    "a row of a waiting order lost": f"DELETE FROM orders WHERE {A_WAITING_ORDER}",
    "an ended order that still counts": "UPDATE orders SET status = 'CANCELLED', reason = 'USER' WHERE is_live",
    "an order that filled one micro more": (
        "UPDATE orders SET filled_notional = filled_notional + 1 WHERE order_id = (SELECT min(order_id) FROM fills)"
    ),
    "an order lost on its way": f"UPDATE orders SET status = 'PENDING', filled_lots = 0 WHERE {A_LIVE_ORDER}",
    "an order that ended without a reason": "UPDATE orders SET reason = NULL WHERE status = 'CANCELLED'",
    "an order row lost": "DELETE FROM orders WHERE status = 'CANCELLED'",
    "a command lost from the outbox": "DELETE FROM outbox WHERE command_seq = 2",
    "a command in the outbox under the next one's number": (
        "UPDATE outbox o SET command_seq = command_seq + 1 WHERE command_seq = (SELECT max(command_seq) FROM outbox x"
        " WHERE x.market_id = o.market_id)"
    ),
    "a relay's cursor beyond the accepted commands": "UPDATE relay_cursors SET command_seq = 1000",
    "an outbox pruned past the relay's cursor": "UPDATE relay_cursors SET pruned_seq = command_seq + 1",
    "progress beyond the accepted commands": "UPDATE progress SET command_seq = command_seq + 1",
    "progress before the written events": "UPDATE progress SET event_seq = 1",
    "a funding that makes money": "INSERT INTO fundings VALUES (1, now(), 1, 0, 0, 1, 1, 5, false, now())",
    "a payment of no funding": "INSERT INTO funding_payments VALUES (1, now(), 1, 1, 1, 1, 1, 1, now())",
    "a settlement of what nobody held": "INSERT INTO settlements VALUES (1, 1, 1, 7, 1, 0, now())",
    "a receipt of a take-over that never was": """
        WITH l AS (INSERT INTO liquidations (kind, user_id, started_at, ended_at)
          VALUES ('LIQUIDATION', 1, now(), now()) RETURNING liquidation_id)
        INSERT INTO liquidation_steps SELECT liquidation_id, 1, 1, 'TAKE_OVER', 1, 1, '{}',
          '{"transfers": [{"trade": 99, "quantity": 5, "amount": 7}], "quantity": 4}', 1, now(), now() FROM l
    """,
    "an account that no liquidation has flagged": "UPDATE accounts SET liquidation_id = 9 WHERE user_id = 1",
    "an open interest one lot off": "UPDATE progress SET open_interest = open_interest + 1",
    "a candle that is too high": "UPDATE candles SET high = high + 1 WHERE span_s = 60",
    "a candle lost": "DELETE FROM candles WHERE span_s = 3600",
    "candles that wait for a trade that comes later": "UPDATE candle_cursors SET trade_id = trade_id + 1",
    "a countdown that has ended and not fired": "INSERT INTO countdowns VALUES (1, 1, '2001-01-01Z', 'ALL')",
    "a debt that nobody pays": """
        WITH u AS (INSERT INTO users (email, password_hash, created_at) VALUES ('owes@x.io', 'x', now()) RETURNING user_id)
        INSERT INTO accounts (user_id, wallet) SELECT user_id, -1 FROM u
    """,
}


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Three users with open and closed positions; partly filled, cancelled, ended, resting and reduce-only orders, persisted.

    Of two amends one is done and one refused, and a third is under way.
    """
    opened = await open_exchange(database)
    first, second, third = [await opened.user(f"u{number}@x.io") for number in range(3)]
    await opened.submit(BTC, an_order(first, Side.BUY, 5, 600_000))
    await opened.submit(BTC, an_order(second, Side.SELL, 5, 600_000))
    await opened.submit(BTC, an_order(first, Side.SELL, 3, 600_100))
    await opened.submit(BTC, an_order(third, Side.BUY, 2, 600_100))
    await opened.submit(BTC, an_order(third, Side.BUY, 4, 599_000))
    cancelled = await opened.submit(BTC, an_order(first, Side.BUY, 4, 598_000))
    await opened.submit(BTC, CancelOrder(NOON, first, cancelled))
    await opened.submit(BTC, an_order(second, Side.SELL, 9, 599_000, time_in_force=TimeInForce.IOC))
    resting = await opened.submit(BTC, an_order(second, Side.SELL, 9, 602_000))
    exit_order = await opened.submit(BTC, an_order(first, Side.SELL, 2, 610_000, reduce_only=True))
    filled = await opened.submit(BTC, an_order(third, Side.BUY, 3, 595_000))
    await opened.submit(BTC, an_order(second, Side.BUY, 3, 590_000, reduce_only=True))
    await opened.submit(ETH, an_order(first, Side.SELL, 5, 300_000))
    await opened.submit(ETH, an_order(second, Side.BUY, 5, 300_000))
    await opened.submit(ETH, SetIndex(NOON, Nanos(3_001 * 10**9)))
    await opened.submit(BTC, a_stop(third, Side.SELL, 500_000))
    await opened.submit(BTC, a_stop(third, Side.SELL, 500_000, quantity=Lots(2)))
    await opened.submit(BTC, a_stop(second, Side.BUY, 900_000))
    await opened.submit(BTC, a_stop(second, Side.BUY, 900_000, quantity=Lots(3)))
    await opened.submit(BTC, a_stop(third, Side.BUY, 500_000, quantity=Lots(7), reduce_only=False))  # fires at once
    await opened.submit(BTC, a_stop(first, Side.SELL, 700_000, order_type=OrderType.TAKE_PROFIT_MARKET, parent_after=2))
    await opened.submit(BTC, a_stop(first, Side.SELL, 500_000, parent_after=1))
    await opened.submit(BTC, an_order(first, Side.BUY, 1, 590_000))
    await opened.name_legs()
    await opened.settle()
    await opened.submit(BTC, an_order(second, Side.SELL, 3, 595_000))
    await opened.amend(BTC, first, exit_order, "0.001", "61100")
    await opened.amend(BTC, third, filled, "0.005", "59400")
    await opened.settle()
    await roll_candles(opened.session)
    await opened.amend(BTC, second, resting, "0.012", "60300")
    yield opened
    await opened.close()


async def test_clean_books_give_no_finding(exchange: Exchange) -> None:
    """With fills, profits and resting orders in two markets, every invariant holds."""
    assert await exchange.session.fetchval("SELECT count(*) FROM fills WHERE realized <> 0") > 0
    assert await audit(exchange.session) == []


async def test_conservation_is_one_row_that_differs_by_nothing(exchange: Exchange) -> None:
    """Wallets + fees + fund - costs = what was paid in: 1,030,000 USDC; clearing is the opposite of the costs."""
    row = await exchange.session.fetchrow("SELECT * FROM conservation")
    assert (row["difference"], row["clearing_difference"]) == (0, 0)
    assert row["paid_in"] == 1_030_000 * 10**6
    assert row["wallets"] + row["fees"] + row["insurance"] - row["costs"] == row["paid_in"]
    assert row["clearing"] == -row["costs"] != 0


async def test_an_empty_exchange_is_clean(database: str) -> None:
    """A fresh database with the seeded fund holds every invariant."""
    opened = await open_exchange(database)
    assert await audit(opened.session) == []
    await opened.close()


async def test_the_audit_finds_every_corruption_and_no_check_is_idle(exchange: Exchange) -> None:
    """Each row changed without the exchange is found, and each invariant finds at least one of them."""
    unfound, spoke = set(CORRUPTIONS), set()
    for corruption, statement in CORRUPTIONS.items():
        transaction = exchange.session.transaction(isolation="repeatable_read")
        await transaction.start()
        status = await exchange.session.execute(statement)
        assert not status.endswith(" 0"), f"{corruption} touches no row"
        if findings := await audit(exchange.session):
            unfound.discard(corruption)
        spoke |= {finding.invariant for finding in findings}
        await transaction.rollback()
    assert unfound == set()
    assert spoke == set(INVARIANTS)
    assert await audit(exchange.session) == []


async def test_a_finding_names_the_place_and_both_numbers(exchange: Exchange) -> None:
    """The operator reads who, what is there and what should be."""
    await exchange.session.execute("UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 2")
    wallet = await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = 2")
    findings = await audit(exchange.session)
    assert findings[0].invariant == "conservation"
    assert Finding("a wallet is the sum of its ledger entries", "user 2", str(wallet - 1), str(wallet)) in findings


EXCUSED = {
    "fills.position_after": "no sum of the books needs it; the deep audit adds it up",
    "accounts.liquidation_id": "names the liquidation under way; which one it is, its receipts say",
    "accounts.user_id": "a key: another one is refused by the table",
    "counters.market_id": "a key of one row a market",
    "ledger.entry_id": "never written",
    "ledger.order_id": "says where a liquidation fee comes from, as event_seq does, which is checked",
    "ledger.trade_id": "says where an entry comes from, as event_seq does, which is checked",
    "markets.epoch": "of the broker; every process compares it",
    "markets.funding_rate": "from the log, reported and not recomputed: payments carry their own, which is checked",
    "markets.index_price": "from the log: verify compares it",
    "markets.mark": "from the log: verify compares it",
    "markets.market_id": "a key of one row a market",
    "markets.predicted_funding_rate": "from the log, reported and not recomputed",
    "markets.price_quorum": "from the log: verify compares it",
    "markets.rules": "from the log: verify compares it",
    "amends.amended_price": "from the log, reported and not recomputed",
    "amends.amended_quantity": "the same",
    "amends.amended_trigger": "the same",
    "amends.best_opposite": "the same",
    "amends.event_seq": "the same",
    "amends.price": "as asked for",
    "amends.trigger_price": "the same",
    "markets.spec_seq": "says which event has changed the specification, which verify compares",
    "orders.activated_command_seq": "says which command activated it, reported and not recomputed",
    "orders.activation_price": "as submitted",
    "orders.best_opposite": "from the log, reported and not recomputed",
    "orders.callback_rate": "as submitted",
    "orders.cancel_seq": "of a cancel under way",
    "orders.ended_at": "says when it ended, as updated_at, for the lists by last change",
    "orders.ended_command_seq": "says which command ended it, reported and not recomputed",
    "orders.ended_event_seq": "says where in the log it ended, reported and not recomputed",
    "orders.leverage": "as submitted",
    "orders.max_slippage": "as submitted",
    "orders.moved_command_seq": "its place in the queue at its price, for previews; no money depends on it",
    "orders.moved_event_seq": "the same",
    "orders.price": "from the log: verify compares it",
    "orders.trigger_price": "as submitted",
    "orders.triggered_command_seq": "from the log, reported and not recomputed",
    "orders.triggered_event_seq": "from the log, reported and not recomputed",
    "orders.triggered_working_price": "from the log, reported and not recomputed",
    "positions.leverage": "what the user chose",
    "progress.event_seq": "from the log: verify compares it with its hash",
    "progress.open_interest_seq": "with another one, the open interest is added up again",
    "progress.market_id": "a key of one row a market",
    "relay_cursors.command_seq": "how far is sent, at most the counter: the engine asks for what it misses",
    "relay_cursors.market_id": "a key of one row a market",
}
"""Numbers that the audit may not miss for a reason."""
NUMBERS = """
SELECT table_name || '.' || column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type IN ('bigint', 'integer') AND table_name = ANY($1) ORDER BY 1
"""
TABLES = [
    "orders",
    "amends",
    "fills",
    "positions",
    "ledger",
    "accounts",
    "markets",
    "progress",
    "counters",
    "relay_cursors",
    "candles",
    "candle_cursors",
    "outbox",
]


async def test_every_number_in_the_books_is_audited_or_excused(exchange: Exchange) -> None:
    """One more of it in some row, and the audit speaks: a new column must be checked, or say why not."""
    columns = [row[0] for row in await exchange.session.fetch(NUMBERS, TABLES)]
    unfound = {column for column in columns if not await is_audited(exchange, *column.split("."))}
    assert unfound - EXCUSED.keys() == set()


async def is_audited(exchange: Exchange, table: str, column: str) -> bool:
    """Whether one row at least cannot be changed unseen."""
    places = await exchange.session.fetch(f"SELECT ctid FROM {table} WHERE {column} IS NOT NULL LIMIT 20")
    for place in places:
        transaction = exchange.session.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await exchange.session.execute("SET LOCAL session_replication_role = replica")
            await exchange.session.execute(f"UPDATE {table} SET {column} = {column} + 1 WHERE ctid = $1", place["ctid"])
            if await audit(exchange.session):
                return True
        except asyncpg.PostgresError:
            continue  # this row may not have it: the table itself refuses
        finally:
            await transaction.rollback()
    return False
