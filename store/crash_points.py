"""Named places where a process can be made to die, so that tests can hit each of them; unarmed, passing one is a no-op.

The composition root arms them and decides how to die (app/crash_at.py); production refuses to.
"""

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """The moments between two writes that belong together; each is a row of the table of faults."""

    AFTER_COMMIT_BEFORE_REPLY = "after-commit-before-reply"
    AFTER_PUBLISH_BEFORE_CURSOR = "after-publish-before-cursor"
    AFTER_EVENTS_BEFORE_SNAPSHOT = "after-events-before-snapshot"
    AFTER_SNAPSHOT_BEFORE_OFFSET = "after-snapshot-before-offset"
    AFTER_PROJECTION_BEFORE_OFFSET = "after-projection-before-offset"
    AFTER_PUBLICATION_BEFORE_OFFSET = "after-publication-before-offset"
    AFTER_ACTIVATION_BEFORE_COMMIT = "after-activation-before-commit"
    AFTER_ACTIVATION_COMMIT = "after-activation-commit"
    DURING_RECOVERY = "during-recovery"
    DURING_REBALANCE = "during-rebalance"


_armed: dict[CrashPoint, Callable[[], None]] = {}


def arm(point: CrashPoint, on_pass: Callable[[], None]) -> None:
    """Call `on_pass` whenever this process passes `point`; it need not return."""
    _armed[point] = on_pass


def disarm_all() -> None:
    """Make passing every point a no-op again."""
    _armed.clear()


def passing(point: CrashPoint) -> None:
    """Report that this process has reached `point`."""
    if _armed and point in _armed:
        _armed[point]()
