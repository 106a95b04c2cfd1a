"""The scan of all accounts for required actions, and the cheap query that says when to scan and what is under way."""

from typing import NamedTuple

from schemas.ids import INSURANCE_FUND
from store.session.connect import PLAN_FOR_ALL, Session

# Only finds accounts; exchange.risk.liquidation decides again what to do, under the account's lock.
_SURVEY = """
WITH terms AS MATERIALIZED (
  SELECT market_id, m.is_frozen, m.mark * v.lot_value::int8 AS lot_price, r.above, r.up_to, r.base, r.rate
  FROM markets m JOIN market_lot_values v USING (market_id) JOIN market_risk_tiers r USING (market_id)
), sums AS (
  SELECT p.user_id, sum(p.lots * t.lot_price - p.cost) AS profit, sum(p.open_loss - p.reduce_loss + p.reduce_excess) AS open_loss,
    sum(t.base + maintenance_margin(abs(p.lots * t.lot_price) - t.above, t.rate)) AS maintenance,
    bool_or(p.lots <> 0) AS has_position, bool_or(p.live_orders <> 0) AS has_orders,
    bool_or(p.lots <> 0 AND t.is_frozen) AS is_unvalued
  FROM positions p JOIN terms t ON t.market_id = p.market_id
    AND abs(p.lots * t.lot_price) >= t.above AND abs(p.lots * t.lot_price) < t.up_to
  WHERE (p.lots <> 0 OR p.live_orders <> 0) AND p.user_id <> $1 GROUP BY p.user_id
), verdicts AS (
  SELECT a.user_id, a.liquidation_id IS NOT NULL AS is_flagged, coalesce(s.is_unvalued, false) AS is_unvalued,
    coalesce(is_liquidatable(a.wallet + s.profit, s.maintenance), false) AS is_liquidatable,
    coalesce(s.has_position AND 4 * (a.wallet + s.profit) <= 5 * s.maintenance, false) AS is_warned,
    coalesce(s.has_orders AND a.wallet + s.profit - s.open_loss <= s.maintenance, false) AS must_cancel,
    a.wallet < 0 AND s.user_id IS NULL AS is_owing
  FROM accounts a LEFT JOIN sums s USING (user_id) WHERE a.user_id <> $1
)
SELECT v.*, l.liquidation_id AS margin_call
FROM verdicts v LEFT JOIN liquidations l ON l.user_id = v.user_id AND l.kind = 'MARGIN_CALL' AND l.ended_at IS NULL
WHERE v.is_liquidatable OR v.is_warned OR v.must_cancel OR v.is_owing OR l.liquidation_id IS NOT NULL
ORDER BY v.user_id
"""
_MARKETS = """
SELECT m.market_id, m.mark, m.is_frozen, m.operator_status, m.spec_seq, c.command_seq > p.command_seq AS has_unpersisted, w.is_under_way
FROM markets m JOIN counters c USING (market_id) JOIN progress p USING (market_id) CROSS JOIN (
  SELECT EXISTS (SELECT FROM liquidations l WHERE l.kind <> 'MARGIN_CALL' AND l.ended_at IS NULL)
    OR EXISTS (SELECT FROM liquidation_steps s WHERE s.done_at IS NULL)
    OR EXISTS (SELECT FROM positions q WHERE q.user_id = $1 AND q.lots <> 0) AS is_under_way) w
ORDER BY m.market_id
"""


class MarginCheck(NamedTuple):
    """The actions that an account's margin requires. `is_owing`: its wallet is below zero, without position or live order."""

    user_id: int
    is_flagged: bool
    is_unvalued: bool
    is_liquidatable: bool
    is_warned: bool
    must_cancel: bool
    is_owing: bool
    margin_call: int | None


async def scan_accounts(session: Session) -> list[MarginCheck]:
    """Every account that requires an action, by user; the fund is never among them."""
    async with session.transaction():
        await session.execute(PLAN_FOR_ALL)
        return [MarginCheck(**row) for row in await session.fetch(_SURVEY, INSURANCE_FUND)]


class MarketsNow(NamedTuple):
    """What a look at all markets finds.

    `marks`: marks, states and specifications; while they are unchanged, hardly any result of the scan changes. `has_unpersisted`: a command is not
    persisted yet, so they may change. `is_under_way`: a liquidation, a step of one or of a margin cancel, or a sale of the fund.
    """

    marks: tuple[tuple[object, ...], ...]
    has_unpersisted: bool
    is_under_way: bool


async def read_markets_now(session: Session) -> MarketsNow:
    """All of it in one round trip."""
    rows = await session.fetch(_MARKETS, INSURANCE_FUND)
    return MarketsNow(
        marks=tuple(
            (row["market_id"], row["mark"], row["is_frozen"], row["operator_status"], row["spec_seq"]) for row in rows
        ),
        has_unpersisted=any(row["has_unpersisted"] for row in rows),
        is_under_way=any(row["is_under_way"] for row in rows),
    )
