"""Who would be deleveraged first: the rank of every open position on its side of its market (docs/semantics.md, "Liquidation").

Computed in one statement over all positions; a rank is a view of the score.
"""

from collections.abc import Iterable

from schemas.units import Timestamp
from store.session.connect import Session

AGE_MAX_US = 1_000_000
Holder = tuple[int, str]
"""A user and the market of their position."""

# E, the position's part of its account's equity by maintenance, is mark value - bankrupt value.
_RANKS = """
WITH priced AS MATERIALIZED (
  SELECT market_id, m.name, v.lot_value::int8 * m.mark AS lot_at_mark, r.above, r.up_to, r.base, r.rate
  FROM markets m JOIN market_lot_values v USING (market_id) JOIN market_risk_tiers r USING (market_id)
), held AS MATERIALIZED (
  SELECT p.user_id, p.market_id, m.name, p.cost, p.opened_seq, p.lots > 0 AS side, abs(p.lots) AS size, m.lot_at_mark * p.lots AS value,
    m.base + maintenance_margin(abs(m.lot_at_mark * p.lots) - m.above, m.rate) AS maintenance
  FROM positions p JOIN priced m ON m.market_id = p.market_id
    AND abs(m.lot_at_mark * p.lots) >= m.above AND abs(m.lot_at_mark * p.lots) < m.up_to
  WHERE p.opened_seq <> 0 AND p.user_id > 0
), owners AS (
  SELECT user_id, a.wallet + sum(h.value - h.cost) AS equity, sum(h.maintenance) AS maintenance
  FROM held h JOIN accounts a USING (user_id) GROUP BY user_id, a.wallet
), rated AS (
  SELECT h.*, o.equity, adl_score(h.value, h.cost, h.value - trunc(o.equity * h.maintenance / o.maintenance)) AS score
  FROM held h JOIN owners o USING (user_id)
), placed AS (
  SELECT *, sum(size) OVER side AS total, sum(size) OVER queue - size AS ahead
  FROM rated WINDOW side AS (PARTITION BY market_id, side),
    queue AS (side ORDER BY equity > 0 DESC, score DESC, opened_seq, user_id ROWS UNBOUNDED PRECEDING)
)
SELECT user_id, name, CASE WHEN equity > 0 THEN adl_rank(ahead, size, total) ELSE 0 END AS rank FROM placed
"""


class AdlRanks:
    """The ranks of all positions, at most a second old: 4 for the fifth of a side's open interest that is deleveraged first.

    A request for an unknown position reads them again. A position without equity, which is spared, has 0.
    """

    def __init__(self) -> None:
        self._ranks: dict[Holder, int] = {}
        self._read_at = 0

    async def of(self, session: Session, now: Timestamp, holders: Iterable[Holder]) -> dict[Holder, int]:
        """The ranks of these positions; 0 for one that was closed meanwhile."""
        wanted = list(holders)
        is_old = abs(now - self._read_at) > AGE_MAX_US  # a clock may be set back
        if wanted and (is_old or not self._ranks.keys() >= set(wanted)):
            before, self._read_at = self._read_at, now  # concurrent requests get the previous ranks
            try:
                rows = await session.fetch(_RANKS)
            except BaseException:
                self._read_at = before
                raise
            self._ranks = {(row["user_id"], row["name"]): row["rank"] for row in rows}
        return {holder: self._ranks.get(holder, 0) for holder in wanted}
