"""Transactions of a session that writes all the time: each begins with the end of the one before, in one round trip."""

import asyncio

from store.session.connect import Connection

COUNTED_EVERY_S = 60.0


class ChainedTransactions:
    """Begins and ends transactions one after the other, in one session at a time.

    PostgreSQL counts what a session has written when it is in no transaction, and vacuums tables by these counts. So once a
    minute a commit is followed by none.
    """

    def __init__(self) -> None:
        self._begun_in: Connection | None = None
        self._begun_at_s = 0.0

    async def begin(self, session: Connection) -> None:
        """Begin the first transaction of a session, and one after a pause; the others have begun."""
        if self._begun_in is not session:
            await session.execute("BEGIN")
            self._begun_in, self._begun_at_s = session, asyncio.get_running_loop().time()

    async def commit(self, session: Connection) -> None:
        """Commit."""
        if asyncio.get_running_loop().time() < self._begun_at_s + COUNTED_EVERY_S:
            await session.execute("COMMIT AND CHAIN")
        else:
            await session.execute("COMMIT")
            self._begun_in = None

    async def roll_back(self, session: Connection) -> None:
        """Undo, and begin the next."""
        await session.execute("ROLLBACK AND CHAIN")
