"""The auditor: checks every 30 s that no money was created or lost, and halts the market where it was."""

import asyncio
import logging
import time

from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from schemas.units import Timestamp
from store.audit.live_audit import (
    Discrepancy,
    advance_checkpoint,
    check_accounts,
    check_entries,
    halt_for,
    read_sums,
    record_run,
)
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.checked_clock import machine_time
from store.session.connect import Connection

AUDIT_EVERY_S = 30.0
FIRST_USER = -(2**62)

log = logging.getLogger(__name__)


class Auditor(Service):
    """One auditor for all markets, by advisory lock; a second one waits."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("auditor", settings.dsn)
        self._page = FIRST_USER

    async def serve(self, session: Connection) -> None:
        """Audit every 30 s."""
        await wait_for_lock(session, LockClass.AUDITOR)
        while True:
            await self.audit(session, machine_time())
            await asyncio.sleep(AUDIT_EVERY_S)

    async def audit(self, session: Connection, now: Timestamp) -> list[Discrepancy]:
        """Run one audit and return the discrepancies.

        1. Check the sums in one snapshot. 2. Check the new entries. 3. Check a page of accounts. 4. Record the run.
        5. Halt the markets with discrepancies. Each step has its own snapshot, so that none is held longer than one page.
        """
        began = time.monotonic_ns()
        sums, wrong = await read_sums(session)  # 1
        took_ms = (time.monotonic_ns() - began) // 1_000_000
        while (entries := await advance_checkpoint(session)) is not None:  # 2
            wrong += await check_entries(session, *entries)
        self._page, more = await check_accounts(session, self._page or FIRST_USER)  # 3
        wrong += more
        await record_run(session, now, took_ms, sums.difference, wrong)  # 4
        if wrong:  # 5
            halted = await halt_for(session, wrong, now)
            log.critical("the books do not balance: %s; halted: %s", [each._asdict() for each in wrong], halted)
        return wrong
