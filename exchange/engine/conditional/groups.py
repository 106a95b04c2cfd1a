"""OCO groups: when one order of a group fires or fills, the others end."""

from collections.abc import Iterator
from typing import NamedTuple


class GroupName(NamedTuple):
    """An account's group; groups of legs are named by their parent."""

    user: int
    name: str


class OcoGroups:
    """The members of each group, waiting and resting ones, in the order in which they joined."""

    __slots__ = ("_members", "group_of")

    def __init__(self) -> None:
        self.group_of: dict[int, GroupName] = {}
        self._members: dict[GroupName, list[int]] = {}

    def __iter__(self) -> Iterator[tuple[GroupName, list[int]]]:
        """The groups by account and name."""
        return iter(sorted(self._members.items()))

    def join(self, order_seq: int, group: GroupName) -> None:
        """Add an order to a group."""
        self.group_of[order_seq] = group
        self._members.setdefault(group, []).append(order_seq)

    def leave(self, order_seq: int) -> None:
        """Take an order that has ended out of its group, if it is in one."""
        group = self.group_of.pop(order_seq, None)
        if group is not None:
            members = self._members[group]
            members.remove(order_seq)
            if not members:
                del self._members[group]

    def others(self, order_seq: int) -> list[int]:
        """The other members of the order's group; none if it is in none."""
        group = self.group_of.get(order_seq)
        return [seq for seq in self._members[group] if seq != order_seq] if group is not None else []
