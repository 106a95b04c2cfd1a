"""Rate limits as the exchange reports them with each answer: a call waits rather than be refused.

`RateLimit: "orders";r=99;t=1` says that 99 calls of this budget are left, and that it is full again in one second.
"""

import asyncio
import re
import time

_LIMIT = re.compile(r'"(?P<budget>[^"]+)";r=(?P<left>\d+);t=(?P<seconds>\d+)')


class Pace:
    """What is left of each budget. Which budget a kind of call counts against is learned from its answers."""

    def __init__(self) -> None:
        self._budgets: dict[str, str] = {}
        self._free_at: dict[str, float] = {}

    async def wait(self, kind: str) -> None:
        """Return when a call of this kind will probably be accepted."""
        free_at = self._free_at.get(self._budgets.get(kind, kind), 0.0)
        await asyncio.sleep(max(0.0, free_at - time.monotonic()))

    def note(self, kind: str, reported: str | None) -> None:
        """Take in the field `RateLimit` of an answer."""
        said = _LIMIT.match(reported or "")
        if said is None:
            return
        budget = self._budgets[kind] = said["budget"]
        if int(said["left"]) == 0:
            self._free_at[budget] = time.monotonic() + int(said["seconds"])

    def refused(self, kind: str, retry_after_s: float) -> None:
        """A call of this kind was refused: none is sent for so long."""
        self._free_at[self._budgets.get(kind, kind)] = time.monotonic() + retry_after_s
