"""The last result of the periodic audit."""

from typing import NamedTuple

from schemas.units import Timestamp, timestamp_of
from store.session.connect import Session

_LAST = """
SELECT at, took_ms, least(greatest(difference, -1e18), 1e18)::int8 AS difference, jsonb_array_length(findings) AS findings FROM audit_runs
ORDER BY audit_id DESC LIMIT 1
"""


class AuditRun(NamedTuple):
    """A run of the audit: its time and duration, the difference it found (micros), and the number of violations."""

    at: Timestamp
    took_ms: int
    difference: int
    findings: int


async def read_last_audit(session: Session) -> AuditRun | None:
    """The last run; None before the first."""
    row = await session.fetchrow(_LAST)
    return None if row is None else AuditRun(timestamp_of(row["at"]), *tuple(row)[1:])
