"""The liquidator: checks every account's margin at the current marks and runs liquidations (docs/semantics.md, "Liquidation").

It keeps no decisions in memory: what is done and what it waits for are rows of `liquidations` and `liquidation_steps`.
Killed anywhere, it continues from them.
"""

import asyncio
import logging
from collections.abc import Awaitable

import asyncpg

from agents.worker.ownership import working
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from schemas.units import SECOND_US, Timestamp
from store.command_log.announcements import Announcements
from store.liquidations import (
    MarginCheck,
    Ready,
    advance,
    begin,
    call_for_margin,
    cancel_for_margin,
    complete_cancels,
    credit,
    end_calls,
    read_markets_now,
    read_ready,
    scan_accounts,
    sell_inventory,
)
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.checked_clock import machine_time
from store.session.connect import Connection
from store.session.presence import Task, Work

LOOK_EVERY_S = 0.2
PERSISTED_AFTER_S = 0.05
"""A command that is announced is mostly persisted by then."""
SURVEY_EVERY_US = SECOND_US
_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

log = logging.getLogger(__name__)


class Liquidator(Service):
    """One liquidator for all markets, by advisory lock; a second one waits."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("liquidator", settings.dsn)
        self._marks: tuple[tuple[object, ...], ...] = ()
        self._scanned_at = Timestamp(0)
        self._waiting: set[int] = set()

    async def serve(self, session: Connection) -> None:
        """Look five times a second while something is under way or not persisted, else when a command is announced.

        Where notifications are lost, a look once a second remains.
        """
        await wait_for_lock(session, LockClass.LIQUIDATOR)
        announcements = Announcements(session)
        with working(Task(Work.LIQUIDATOR)):
            while True:
                if await self.look(session, machine_time()):
                    await announcements.ignore()
                    await asyncio.sleep(LOOK_EVERY_S)
                elif not await announcements.listen() and await announcements.wait(self._until_survey_s()):
                    await asyncio.sleep(PERSISTED_AFTER_S)

    def _until_survey_s(self) -> float:
        wait_us = self._scanned_at + SURVEY_EVERY_US - machine_time()
        return min(max(0, wait_us), SURVEY_EVERY_US) / SECOND_US

    async def look(self, session: Connection, now: Timestamp) -> bool:
        """1 complete finished cancels, 2 check all accounts if a mark has moved, 3 advance liquidations, 4 sell inventory.

        All of it is skipped while nothing is under way and no mark has moved. But once a second all accounts are checked:
        funding, fees and withdrawals lower equity as well. Returns whether another look may soon find more.
        """
        found = await read_markets_now(session)
        is_check_due = found.marks != self._marks or abs(now - self._scanned_at) >= SURVEY_EVERY_US
        if not (found.is_under_way or is_check_due):
            return found.has_unpersisted
        await complete_cancels(session, now)  # 1
        checks: list[MarginCheck] = []
        if is_check_due:  # 2
            self._marks, self._scanned_at = found.marks, now
            self._waiting.clear()
            checks = await scan_accounts(session)
            await self._act_on(session, checks, now)
        if found.is_under_way or checks:
            for ready in await read_ready(session):  # 3
                if ready.liquidation_id not in self._waiting:
                    await _unless_in_conflict(self._drive(session, ready, now))
            await _unless_in_conflict(sell_inventory(session, now))  # 4
        return found.has_unpersisted or found.is_under_way or bool(checks)

    async def _act_on(self, session: Connection, checks: list[MarginCheck], now: Timestamp) -> None:
        uncalled = [v.user_id for v in checks if v.is_warned and v.margin_call is None and not v.is_unvalued]
        if uncalled:
            await call_for_margin(session, uncalled, now)
        recovered = [v.margin_call for v in checks if v.margin_call and not (v.is_warned or v.is_unvalued)]
        if recovered:
            await end_calls(session, recovered, now)
        for check in checks:
            if not (check.is_flagged or check.is_unvalued):
                await _unless_in_conflict(self._begin(session, check, now))

    async def _begin(self, session: Connection, check: MarginCheck, now: Timestamp) -> None:
        user = check.user_id
        if check.is_liquidatable:
            if await begin(session, user, now):
                log.warning("account %s is liquidated", user)
        elif check.must_cancel:
            if await cancel_for_margin(session, user, now):
                log.info("orders of account %s are cancelled for margin", user)
        elif check.is_owing and await credit(session, user, now):
            log.warning("the insurance fund pays what account %s owes", user)

    async def _drive(self, session: Connection, ready: Ready, now: Timestamp) -> None:
        result = await advance(session, ready, now)
        if result.did == "wait":
            self._waiting.add(ready.liquidation_id)
            return
        log.info("liquidation %s of account %s: %s", ready.liquidation_id, ready.user_id, result.did)
        if result.is_fund_below_zero:
            log.critical(
                "liquidation %s of account %s leaves the insurance fund below zero: no account can take its position;"
                " the market accepts no more orders",
                ready.liquidation_id,
                ready.user_id,
            )


async def _unless_in_conflict(action: Awaitable[object]) -> None:
    """Skip an action that PostgreSQL rolled back because of a conflict: the next check repeats it."""
    try:
        await action
    except _CONFLICTS as error:
        log.warning("rolled back by a conflict, the next check repeats it: %r", error)
