"""The timers of a market's accounts, and which of them is due next."""

import msgspec
from sortedcontainers import SortedList

from exchange.engine.indexes.expiries import NEVER
from schemas.orders import CountdownScope
from schemas.units import Timestamp


class Countdown(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An account's timer: at `deadline` the orders of its scope end."""

    user: int
    deadline: Timestamp
    scope: CountdownScope


class Countdowns:
    """At most one timer for each account; of those due at the same time the lower user comes first.

    `first_at` is when the first is due, NEVER if there is none: every command compares it with the clock.
    """

    __slots__ = ("_due", "by_user", "first_at")

    def __init__(self) -> None:
        self.by_user: dict[int, Countdown] = {}
        self._due: SortedList[tuple[int, int]] = SortedList()
        self.first_at: int = NEVER

    @property
    def first(self) -> Countdown:
        """The timer that is due first; IndexError if there is none."""
        return self.by_user[self._due[0][1]]

    def start(self, countdown: Countdown) -> None:
        """Start a timer in place of the account's present one."""
        self.stop(countdown.user)
        self.by_user[countdown.user] = countdown
        self._due.add((countdown.deadline, countdown.user))
        self.first_at = self._due[0][0]

    def stop(self, user: int) -> None:
        """Forget the account's timer, if it has one."""
        stopped = self.by_user.pop(user, None)
        if stopped is not None:
            self._due.remove((stopped.deadline, user))
            self.first_at = self._due[0][0] if self._due else NEVER
