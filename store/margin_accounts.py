"""The one reader of accounts: wallet, exposures and the markets that value them, from rows, by column name."""

from collections.abc import Sequence

import asyncpg

from exchange.market_status import MATCHING
from exchange.risk.account import (
    NO_REDUCE_ONLY,
    NO_WAITING,
    Exposure,
    MarginAccount,
    MarketState,
    PositionRisk,
    ReduceOnlySums,
    WaitingSums,
)
from schemas.ids import INSURANCE_FUND
from schemas.market import MarketSpec, MarketStatus
from schemas.units import Micros, Ticks, Timestamp, timestamp_of
from store.markets.backlog import MarketLoad
from store.queries.formatting import spec_of
from store.session.connect import Session

# The fund's wallet is the balance of its house account.
_READ = """
SELECT a.user_id, CASE WHEN a.user_id = $2 THEN f.wallet ELSE a.wallet END AS wallet,
  abs(a.liquidation_id) AS liquidation_id, a.is_closing, a.frozen_at IS NOT NULL AS is_account_frozen,
  m.market_id, m.spec::text AS spec, m.status, m.mark, m.rules, m.is_frozen, m.operator_status, m.halted_reason,
  p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss, p.open_fees, p.buy_lots, p.sell_lots,
  p.live_orders, ARRAY[p.reduce_buy_lots, p.reduce_sell_lots, p.reduce_buy_notional, p.reduce_sell_notional,
    p.reduce_buy_cost, p.reduce_sell_cost, p.reduce_excess] AS reduce_only,
  ARRAY[p.waiting_buy_lots, p.waiting_sell_lots, p.closing_buys, p.closing_sells, p.waiting_orders] AS waiting,
  p.opened_seq, p.realized, p.leverage_set_at
FROM accounts a
LEFT JOIN positions p ON p.user_id = a.user_id AND (p.lots <> 0 OR p.live_orders <> 0 OR p.waiting_orders <> 0)
LEFT JOIN markets m USING (market_id)
CROSS JOIN LATERAL (
  SELECT CASE WHEN a.user_id = $2 THEN (
      SELECT c.insurance + coalesce((
        SELECT sum(l.amount) FROM ledger l WHERE l.account = house_account('insurance') AND l.entry_id > c.entry_id), 0)
      FROM audit_checkpoint c) END
    AS wallet) f
WHERE a.user_id = ANY($1::int8[]) ORDER BY a.user_id, m.market_id
"""


async def read_accounts(session: Session, users: Sequence[int]) -> dict[int, MarginAccount]:
    """The accounts of these users, in one snapshot, with every position and every live or waiting order, by market id."""
    accounts: dict[int, MarginAccount] = {}
    for row in await session.fetch(_READ, list(users), INSURANCE_FUND):
        account = account_in(accounts, row, is_frozen=row["is_account_frozen"])
        if row["market_id"] is not None:
            spec = spec_of(row["spec"])
            risk = PositionRisk(_market(row, spec), exposure_of(row), row["opened_seq"], row["realized"], _set_at(row))
            account.exposures[spec.market] = risk
    return accounts


async def read_account(session: Session, user: int) -> MarginAccount | None:
    """The account of a user; None when there is no such user."""
    return (await read_accounts(session, [user])).get(user)


def account_in(accounts: dict[int, MarginAccount], row: asyncpg.Record, *, is_frozen: bool) -> MarginAccount:
    """The account that a row belongs to; the first row of each adds it, without exposures."""
    account = accounts.get(user := row["user_id"])
    if account is None:
        wallet, liquidation_id = Micros(int(row["wallet"])), row["liquidation_id"]
        accounts[user] = account = MarginAccount(user, wallet, {}, liquidation_id, row["is_closing"], is_frozen)
    return account


def exposure_of(row: asyncpg.Record) -> Exposure:
    """Position, leverage and margin sums of a row of positions."""
    return Exposure(
        leverage=row["leverage"],
        lots=row["lots"],
        cost=row["cost"],
        buy_notional=row["buy_notional"],
        sell_notional=row["sell_notional"],
        open_loss=row["open_loss"],
        open_fees=row["open_fees"],
        buy_lots=row["buy_lots"],
        sell_lots=row["sell_lots"],
        live_orders=row["live_orders"],
        reduce_only=_reduce_only(row["reduce_only"]),
        waiting=_waiting(row["waiting"]),
    )


def _reduce_only(sums: Sequence[int] | None) -> ReduceOnlySums:
    """The sums in the order of the fields; most accounts have no reduce-only order."""
    return ReduceOnlySums(*sums) if sums and any(sums) else NO_REDUCE_ONLY


def _waiting(sums: Sequence[int] | None) -> WaitingSums:
    """The sums in the order of the fields; most accounts have no waiting order."""
    return WaitingSums(*sums) if sums and any(sums) else NO_WAITING


def market_of(row: asyncpg.Record, spec: MarketSpec, load: MarketLoad | None) -> MarketState:
    """A market as admission sees it: with its load, without whether positions can be forced there.

    The row has its open interest as lots, where it is limited, and its rules as live orders (migration 0040).
    """
    return MarketState(
        market_id=row["market_id"],
        spec=spec,
        status=MarketStatus(row["status"]),
        mark=Ticks(row["mark"]),
        rules=row["live_orders"],
        is_stale=load is not None and load.is_stale,
        is_mark_old=load is not None and load.is_mark_old,
        is_backlogged=load is not None and load.is_backlogged,
        is_frozen=row["is_frozen"],
        open_interest=row["lots"] or 0,
    )


def _set_at(row: asyncpg.Record) -> Timestamp | None:
    return None if row["leverage_set_at"] is None else timestamp_of(row["leverage_set_at"])


def _market(row: asyncpg.Record, spec: MarketSpec) -> MarketState:
    """A market as the liquidator sees it."""
    return MarketState(
        market_id=row["market_id"],
        spec=spec,
        status=MarketStatus(row["status"]),
        mark=Ticks(row["mark"]),
        rules=row["rules"],
        is_frozen=row["is_frozen"],
        is_matching=row["operator_status"] in MATCHING and not row["is_frozen"] and row["halted_reason"] is None,
    )
