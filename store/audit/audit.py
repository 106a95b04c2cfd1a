"""The audit: every invariant of the exchange checked in one snapshot of the database."""

from typing import NamedTuple

from store.advance import Advance, unseen
from store.audit.invariants import INVARIANTS
from store.session.connect import Session

FINDINGS_MAX = 20
"""Rows reported for each invariant that does not hold."""


class Finding(NamedTuple):
    """A violation: the invariant, its subject, and its two numbers (micros, lots or counts)."""

    invariant: str
    subject: str
    expected: str
    got: str


async def audit(session: Session, advance: Advance = unseen) -> list[Finding]:
    """The violations in the books; empty when everything holds. All invariants are read in one snapshot."""
    findings: list[Finding] = []
    async with session.transaction(isolation="repeatable_read", readonly=True):
        for done, (invariant, query) in enumerate(INVARIANTS.items()):
            advance("checking the sums", done, len(INVARIANTS))
            for row in await session.fetch(f"{query} LIMIT {FINDINGS_MAX}"):
                subject, expected, got = (str(value) for value in row)
                findings.append(Finding(invariant, subject, expected, got))
        advance("checking the sums", len(INVARIANTS), len(INVARIANTS))
    return findings
