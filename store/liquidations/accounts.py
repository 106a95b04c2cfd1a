"""Accounts as the ladder sees them: wallet, positions at mark and live orders, read under the account's lock."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from exchange.market_status import MATCHING
from exchange.risk.liquidation_policy import Debtor, Held
from exchange.risk.margin import Exposure, Holding
from schemas.ids import INSURANCE_FUND
from schemas.units import Micros, Ticks
from store.queries.formatting import spec_of
from store.session.connect import Session

_LOCK = "SELECT 1 FROM accounts WHERE user_id = ANY($1::int8[]) ORDER BY user_id FOR NO KEY UPDATE"
_READ = """
SELECT a.user_id, CASE WHEN a.user_id = $2 THEN f.wallet ELSE a.wallet END AS wallet, a.liquidation_id,
  m.market_id, m.spec::text AS spec, m.mark, m.is_frozen, m.operator_status, m.halted_reason,
  p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss, p.open_fees, p.buy_lots, p.sell_lots,
  p.live_orders, p.opened_seq
FROM accounts a
LEFT JOIN positions p ON p.user_id = a.user_id AND (p.lots <> 0 OR p.live_orders <> 0)
LEFT JOIN markets m USING (market_id)
CROSS JOIN LATERAL (
  SELECT CASE WHEN a.user_id = $2 THEN (
      SELECT c.insurance + coalesce((
        SELECT sum(l.amount) FROM ledger l WHERE l.account = -3 AND l.entry_id > c.entry_id), 0)
      FROM audit_checkpoint c) END
    AS wallet) f
WHERE a.user_id = ANY($1::int8[]) ORDER BY a.user_id, m.market_id
"""
_LIVE_ORDERS = """
SELECT order_id, market_id, remaining * loss_per_lot AS open_loss, reduce_only, cancel_seq
FROM orders WHERE user_id = $1 AND is_live ORDER BY order_id
"""


class LiveOrder(NamedTuple):
    """An order that still counts: its database key, the loss it may realize, and the command that already cancels it."""

    order_id: int
    market_id: int
    open_loss: int
    reduce_only: bool
    cancel_seq: int | None


class Account(NamedTuple):
    """An account: what margin is computed from, its open liquidation, and its live orders by market (a count).

    `is_closing`: it places no order, because its positions are closed without the book.
    """

    debtor: Debtor
    liquidation_id: int | None
    is_closing: bool
    live_orders: dict[int, int]


async def lock_accounts(session: Session, users: Sequence[int]) -> None:
    """Lock the accounts in the order everyone locks them; what they hold must be read by another statement."""
    await session.execute(_LOCK, list(users))


async def read_accounts(session: Session, users: Sequence[int]) -> dict[int, Account]:
    """The accounts of these users, of one moment; the fund's wallet is the balance of its house account."""
    accounts: dict[int, Account] = {}
    held: dict[int, list[Held]] = {}
    for row in await session.fetch(_READ, list(users), INSURANCE_FUND):
        user = row["user_id"]
        if user not in accounts:
            debtor, liquidation_id = Debtor(user, Micros(int(row["wallet"])), ()), row["liquidation_id"]
            is_closing = liquidation_id is not None and liquidation_id < 0
            accounts[user] = Account(debtor, -liquidation_id if is_closing else liquidation_id, is_closing, {})
        if row["market_id"] is None:
            continue
        if row["live_orders"]:
            accounts[user].live_orders[row["market_id"]] = row["live_orders"]
        if row["lots"]:
            held.setdefault(user, []).append(_held(row))
    return {
        user: account._replace(debtor=Debtor(user, account.debtor.wallet, tuple(held.get(user, ()))))
        for user, account in accounts.items()
    }


async def read_live_orders(session: Session, user: int) -> list[LiveOrder]:
    """Every order of the user that still counts, the oldest of each market first."""
    return [LiveOrder(**row) for row in await session.fetch(_LIVE_ORDERS, user)]


def _held(row: asyncpg.Record) -> Held:
    exposure = Exposure(**{field: row[field] for field in Exposure.__struct_fields__})
    is_open = row["operator_status"] in MATCHING and not row["is_frozen"] and row["halted_reason"] is None
    holding = Holding(spec_of(row["spec"]), Ticks(row["mark"]), exposure, row["is_frozen"])
    return Held(row["market_id"], holding, is_open, row["opened_seq"])
