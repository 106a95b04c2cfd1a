"""The clock of this process, compared with PostgreSQL's (docs/adr/0009-no-clock-alone-moves-a-market.md).

Exception
└── ClockIsWrong          this machine's clock and PostgreSQL's differ by more than the tolerance
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from schemas.units import SECOND_US, Timestamp, timestamp_of
from store.session.connect import Session

TOLERANCE_US = 2 * SECOND_US
"""As in the SQL function `number_commands`."""
_MEASUREMENTS = 3


def machine_time() -> Timestamp:
    """The time of this machine, in microseconds."""
    return Timestamp(time.time_ns() // 1_000)


class ClockOffset(NamedTuple):
    """By how much a clock is ahead of PostgreSQL's (negative: behind), and by how much that may be wrong, in microseconds."""

    ahead_us: int
    doubt_us: int

    @property
    def is_wrong(self) -> bool:
        """Whether the clocks certainly differ by more than the tolerance."""
        return abs(self.ahead_us) > TOLERANCE_US + self.doubt_us

    @property
    def seconds(self) -> float:
        """The offset in seconds."""
        return self.ahead_us / SECOND_US

    def __str__(self) -> str:
        return f"{abs(self.seconds):.1f} s {'ahead of' if self.ahead_us > 0 else 'behind'} PostgreSQL's"


AGREED = ClockOffset(0, 0)


class ClockIsWrong(Exception):
    """The clock of this machine differs from PostgreSQL's."""

    def __init__(self, offset: ClockOffset) -> None:
        super().__init__(f"the clock of this machine is {offset}")
        self.offset = offset


class CheckedClock:
    """Gives the time of this process until a check finds it wrong; then what the two clocks agree on."""

    def __init__(self, own: Callable[[], Timestamp] = machine_time) -> None:
        self._own = own
        self._offset = AGREED

    @property
    def offset(self) -> ClockOffset:
        """As of the last check; zero before the first."""
        return self._offset

    def now(self) -> Timestamp:
        """The time; of two that differ, the earlier: nothing expires before both clocks say so."""
        return Timestamp(self._own() - max(0, self._error_us))

    def latest(self) -> Timestamp:
        """The time; of two that differ, the later: nothing is too new before both clocks say so."""
        return Timestamp(self._own() - min(0, self._error_us))

    @property
    def _error_us(self) -> int:
        return self._offset.ahead_us if self._offset.is_wrong else 0

    async def check(self, session: Session) -> ClockOffset:
        """Compare both clocks, in one round trip; an offset beyond the tolerance is measured again, and the surest one counts."""
        offset = await self._measured(session)
        if offset.is_wrong:
            again = [await self._measured(session) for _ in range(_MEASUREMENTS - 1)]
            offset = min(offset, *again, key=lambda each: each.doubt_us)
        self._offset = offset
        return offset

    async def _measured(self, session: Session) -> ClockOffset:
        """The answer was given at some moment between request and reply: half of that is in doubt."""
        before = self._own()
        answered = await session.fetchval("SELECT exchange_clock()")
        after = self._own()
        if answered is None:
            return AGREED
        return ClockOffset((before + after) // 2 - timestamp_of(answered), abs(after - before) // 2)
