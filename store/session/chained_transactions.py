"""Transactions of a session that writes all the time: each begins with the commit of the one before, in one round trip."""

import asyncio

from store.session.connect import Connection

COUNTED_EVERY_S = 60.0


class ChainedTransactions:
    """Begins and commits the transactions of one session after the other.

    PostgreSQL counts what a session has written when it is in no transaction, and vacuums tables by these counts. So once a
    minute a commit is followed by none.
    """

    def __init__(self) -> None:
        self._has_begun = False
        self._begun_at_s = 0.0

    async def begin(self, session: Connection) -> None:
        """Begin the first transaction, and one after a pause; the others have begun."""
        if not self._has_begun:
            await session.execute("BEGIN")
            self._has_begun, self._begun_at_s = True, asyncio.get_running_loop().time()

    async def commit(self, session: Connection) -> None:
        """Commit."""
        if asyncio.get_running_loop().time() < self._begun_at_s + COUNTED_EVERY_S:
            await session.execute("COMMIT AND CHAIN")
        else:
            await session.execute("COMMIT")
            self._has_begun = False
