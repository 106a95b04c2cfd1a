"""The markets that the clock sends the time to: which of them time can change, and where an order expires or a timer runs out.

What time can change in a market is listed in docs/prices.md, "The clock". A rule that makes a command depend on time in another way
must be added there and in `TickingMarket.moves_each_second`.
"""

from typing import NamedTuple

from schemas.market import RULES_THIRD, mark_of_index
from schemas.units import Timestamp, datetime_of, timestamp_of
from store.session.connect import Session

_TICKING = """
SELECT m.name, p.command_seq, d.due_at, m.rules, m.is_frozen, m.index_price, m.mark,
  (m.spec->>'tickSizeE18')::numeric AS tick_size_e18,
  EXISTS (SELECT FROM orders o WHERE o.market_id = m.market_id AND o.is_live)
    OR EXISTS (SELECT FROM orders o WHERE o.market_id = m.market_id AND o.is_waiting)
    OR EXISTS (SELECT FROM positions q WHERE q.market_id = m.market_id AND q.opened_seq <> 0) AS is_in_use,
  EXISTS (
    SELECT FROM jsonb_to_recordset(m.price_sources) AS s (name text, "maxAgeMs" int8)
    LEFT JOIN price_reports r ON r.market_id = m.market_id AND r.source = s.name
    WHERE abs(extract(epoch FROM $1::timestamptz - r.observed_at)) * 1000 <= s."maxAgeMs" IS NOT TRUE) AS has_silent_source
FROM markets m JOIN progress p USING (market_id) LEFT JOIN (
  SELECT u.market_id, min(u.due_at) AS due_at FROM (
    SELECT o.market_id, o.expires_at AS due_at FROM orders o WHERE o.is_live AND o.expires_at <= $2
    UNION ALL SELECT o.market_id, o.expires_at FROM orders o WHERE o.is_waiting AND o.expires_at <= $2
    UNION ALL SELECT c.market_id, c.deadline FROM countdowns c WHERE c.deadline <= $2) u
  GROUP BY u.market_id) d USING (market_id)
WHERE m.halted_reason IS NULL AND m.status <> 'SETTLED' AND ($3 OR d.due_at IS NOT NULL) ORDER BY m.market_id
"""


class TickingMarket(NamedTuple):
    """A market whose clock runs: its last persisted command, and what the passing of time can change in it.

    `due_at` is the earliest expiry of a live or waiting order or end of a dead-man's switch, if it is near. `is_in_use`: it has such
    an order or a position.
    `has_silent_source`: the price of a source is stale, or nobody knows until when it is fresh.
    """

    name: str
    command_seq: int
    due_at: Timestamp | None
    rules: int
    is_in_use: bool
    is_frozen: bool
    has_silent_source: bool
    is_mark_at_index: bool

    @property
    def moves_each_second(self) -> bool:
        """Whether a tick may change something that the next minute's tick would not leave the same."""
        is_mark_drifting = not self.is_frozen and (self.has_silent_source or not self.is_mark_at_index)
        return self.rules < RULES_THIRD or self.is_in_use or is_mark_drifting


async def read_ticking(
    session: Session, now: Timestamp, due_by: Timestamp, *, only_due: bool = False
) -> list[TickingMarket]:
    """Every market, or each in which an order or a timer is due by then.

    Without the settled ones, and those that the exchange itself has halted (store/markets/halts.py).
    """
    arguments = (datetime_of(now), datetime_of(due_by), not only_due)
    return [
        TickingMarket(
            name=row["name"],
            command_seq=row["command_seq"],
            due_at=timestamp_of(row["due_at"]) if row["due_at"] else None,
            rules=row["rules"],
            is_in_use=row["is_in_use"],
            is_frozen=row["is_frozen"],
            has_silent_source=row["has_silent_source"],
            is_mark_at_index=row["mark"] == mark_of_index(row["index_price"], int(row["tick_size_e18"])),
        )
        for row in await session.fetch(_TICKING, *arguments)
    ]
