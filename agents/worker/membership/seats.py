"""The seats of this process: its place in each consumer group, from the start of an app until it has left its group."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol

from store.session.group_members import GroupMember


class Standing(Enum):
    """What the group has decided about a seat."""

    STARTING = auto()  # not connected yet
    JOINING = auto()  # the group is about to decide
    STANDBY = auto()
    OWNER = auto()
    LEAVING = auto()


class Member(Protocol):
    """The client that holds a seat."""

    @property
    def member_id(self) -> str:
        """Its id in the group; empty while it has none."""

    def join_again(self) -> None:
        """Join now: the group is about to decide, or has lost this member."""

    async def remove(self, member_id: str) -> bool:
        """Remove another member from the group; False if it was no longer in. Raises KafkaError, TimeoutError."""


class Seat:
    """One place in one group."""

    def __init__(self, group: str, member: Member, changed: Callable[[], None]) -> None:
        self.group = group
        self.member = member
        self._changed = changed
        self._standing = Standing.STARTING

    @property
    def standing(self) -> Standing:
        """What the group has decided. Nothing comes after LEAVING."""
        return self._standing

    @standing.setter
    def standing(self, now: Standing) -> None:
        if self._standing is not Standing.LEAVING:
            self._standing = now
            self._changed()

    @property
    def shown(self) -> GroupMember | None:
        """How other processes are to know it. An id is valid before the group has decided, and until the broker refuses it."""
        return GroupMember(self.group, self.member.member_id) if self.member.member_id else None

    def join_again(self) -> None:
        """Join now, not at the next heartbeat: the group has lost this member."""
        if self.standing is not Standing.LEAVING:
            self.member.join_again()

    def join_again_as_standby(self) -> None:
        """Join now, not at the next heartbeat: the group has lost another member, and decides when all others have joined."""
        if self.standing is Standing.STANDBY:
            self.member.join_again()


class Seats:
    """All seats of a process. A listener registers with `notifying`."""

    def __init__(self) -> None:
        self._seats: list[Seat] = []
        self._listeners: list[Callable[[], object]] = []

    def take(self, group: str, member: Member) -> Seat:
        """An app is about to start."""
        seat = Seat(group, member, self._notify)
        self._seats.append(seat)
        self._notify()
        return seat

    def give_up(self, seat: Seat) -> None:
        """The app has left its group; harmless when it is known already."""
        if seat in self._seats:
            self._seats.remove(seat)
        self._notify()

    @property
    def shown(self) -> dict[GroupMember, Seat]:
        """The members that other processes are to know."""
        return {shown: seat for seat in self._seats if (shown := seat.shown)}

    @property
    def waiting(self) -> dict[str, Seat]:
        """The seats that wait for the group or for its owner, by group."""
        settled = (Standing.OWNER, Standing.LEAVING)
        return {seat.group: seat for seat in self._seats if seat.standing not in settled}

    @contextmanager
    def notifying(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call the listener at each change as long as the block lasts."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()


seats = Seats()
"""Those of this process."""
