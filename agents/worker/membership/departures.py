"""Decides which members of its groups a process removes: those whose process was there, and has been gone for a while."""

from collections.abc import Collection

from store.session.group_members import GroupMember, SeenMember

REAPPEARS_WITHIN_S = 0.2
"""A process that lost its session, and lives, is there again within this time as a rule."""


class Departures:
    """What one session has seen of the members of other processes.

    `is_first`: it is the first session of this process. A process that has just started may remove whom it finds gone: it is
    often the successor of that very process. A later session knows that an earlier one was lost, perhaps together with those
    of the others, so it removes only whom it has seen alive itself. And nobody is removed who was shown to an earlier run of
    PostgreSQL: a restart ends all sessions. What is not removed here is removed by Kafka after its session time-out.
    """

    def __init__(self, *, is_first: bool) -> None:
        self._is_first = is_first
        self._alive: set[GroupMember] = set()
        self._known: frozenset[GroupMember] = frozenset()
        self._gone_since_s: dict[GroupMember, float] = {}

    def see(self, others: Collection[SeenMember], now_s: float) -> set[str]:
        """Note who is there and who is gone; returns the groups that have lost a member: it has left, or was removed."""
        known = frozenset(each.member for each in others)
        lost = {member.group for member in self._known - known}
        self._known = known
        self._alive.update(each.member for each in others if not each.is_gone)
        self._alive &= known
        gone = [each.member for each in others if each.is_gone and self._may_be_removed(each)]
        self._gone_since_s = {member: self._gone_since_s.get(member, now_s) for member in gone}
        return lost

    def due(self, now_s: float) -> set[GroupMember]:
        """Whom to remove now."""
        return {member for member, since_s in self._gone_since_s.items() if now_s >= since_s + REAPPEARS_WITHIN_S}

    def next_due_s(self, now_s: float) -> float | None:
        """In how many seconds somebody is due who is not now; None when nobody is."""
        waits = [since_s + REAPPEARS_WITHIN_S - now_s for since_s in self._gone_since_s.values()]
        return min((wait for wait in waits if wait > 0), default=None)

    def _may_be_removed(self, seen: SeenMember) -> bool:
        return seen.is_of_this_server and (self._is_first or seen.member in self._alive)
