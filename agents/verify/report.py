"""The result of a verification."""

from typing import NamedTuple

import msgspec

DIFFERENCES_MAX = 1_000
"""Differences that are kept; the rest are only counted."""


class Difference(NamedTuple):
    """A difference from the replay: where, what was expected, what was found."""

    subject: str
    expected: str
    found: str


class Report(msgspec.Struct, rename="camel"):
    """How far a market was compared, how much of it, and the differences.

    `horizon` names the state the replay started from, after command `from_command`. It ended at `to_command` and
    `to_event`, which PostgreSQL had persisted when it started. The other numbers count what was compared.
    """

    market: str
    horizon: str = "nothing"
    from_command: int = 0
    to_command: int = 0
    to_event: int = 0
    commands: int = 0
    events: int = 0
    snapshots: int = 0
    orders: int = 0
    fills: int = 0
    positions: int = 0
    skipped_records: int = 0
    differences_found: int = 0
    differences: list[Difference] = []

    def differs(self, subject: str, expected: object, found: object) -> None:
        """Record a difference."""
        self.differences_found += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(Difference(subject, str(expected), str(found)))

    def compare(self, subject: str, expected: object, found: object) -> None:
        """Record a difference if there is one."""
        if expected != found:
            self.differs(subject, expected, found)
