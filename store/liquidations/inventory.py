"""The insurance fund sells what it took over, step by step in every market (docs/semantics.md, "Liquidation")."""

from exchange.risk.liquidation_policy import inventory_step
from schemas.ids import INSURANCE_FUND
from schemas.units import Timestamp, timestamp_of
from store.liquidations.accounts import lock_in_user_order
from store.liquidations.steps import order_step
from store.liquidations.writing import LiquidationCase, find_case, open_case
from store.margin_accounts import read_accounts
from store.session.connect import Session

PATIENCE_US = 1_000_000
PATIENCE_MAX_US = 64_000_000
"""The pause of a market after a sale that filled nothing: doubled each time, up to about a minute."""

_HAS_TO_DO = """
SELECT EXISTS (SELECT 1 FROM liquidations WHERE user_id = $1 AND kind = 'INVENTORY' AND ended_at IS NULL)
  OR EXISTS (SELECT 1 FROM positions WHERE user_id = $1 AND lots <> 0)
"""
# The last sales of each market, newest first; seven in a row that filled nothing reach the longest pause.
_LAST = """
SELECT s.market_id, s.at, s.done_at IS NOT NULL AS is_done, (s.outcome->>'quantity')::int8 AS filled
FROM unnest($2::int4[]) AS m (market_id) CROSS JOIN LATERAL (
  SELECT * FROM liquidation_steps x WHERE x.liquidation_id = $1 AND x.market_id = m.market_id
  ORDER BY x.step DESC LIMIT 7) s
ORDER BY s.market_id, s.step DESC
"""


async def sell_inventory(session: Session, now: Timestamp) -> int:
    """Order one sale in every market where the fund has a position and none is under way or paused; returns their number."""
    if not await session.fetchval(_HAS_TO_DO, INSURANCE_FUND):
        return 0
    async with session.transaction():
        await lock_in_user_order(session, [INSURANCE_FUND])
        liquidation_case = await find_case(session, "INVENTORY", INSURANCE_FUND, now)
        fund = (await read_accounts(session, [INSURANCE_FUND]))[INSURANCE_FUND]
        positions = fund.positions
        if not positions:
            if liquidation_case is not None and not fund.has_live_orders:
                await liquidation_case.end()
            return 0
        liquidation_case = liquidation_case or await open_case(session, "INVENTORY", INSURANCE_FUND, now)
        paused = await _paused(liquidation_case, [risk.market.market_id for risk in positions])
        selling = [risk for risk in positions if risk.market.is_matching and risk.market.market_id not in paused]
        for risk in selling:
            await order_step(liquidation_case, fund, inventory_step(fund, risk), "FUND_SALE")
        return len(selling)


async def _paused(liquidation_case: LiquidationCase, markets: list[int]) -> set[int]:
    """Markets with a sale under way, or paused because their last ones filled nothing."""
    rows = await liquidation_case.session.fetch(_LAST, liquidation_case.liquidation_id, markets)
    paused: set[int] = set()
    for market_id in markets:
        sales = [row for row in rows if row["market_id"] == market_id]
        empty = next((place for place, row in enumerate(sales) if row["filled"]), len(sales))
        patience = min(PATIENCE_US << max(0, empty - 1), PATIENCE_MAX_US)
        if sales and (
            not sales[0]["is_done"] or (empty and abs(liquidation_case.now - timestamp_of(sales[0]["at"])) < patience)
        ):
            paused.add(market_id)
    return paused
