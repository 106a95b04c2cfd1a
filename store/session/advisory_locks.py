"""Who may work alone: session-level advisory locks, gone with the session that took them."""

import asyncio
from collections.abc import Sequence
from enum import IntEnum

from store.session.connect import Session

TRY_EVERY_S = 0.5


class LockClass(IntEnum):
    """What is locked; the second key is the market's number, or 0."""

    PRICES = 7_370_010
    RELAY = 7_370_011
    CLOCK = 7_370_012
    REBUILD = 7_370_013
    WORKERS = 7_370_014
    LIQUIDATOR = 7_370_015
    AUDITOR = 7_370_016
    CANDLES = 7_370_020
    PROCESSES = 7_370_100
    TASKS = 7_370_101  # and those that follow, one a kind of work (store/session/presence.py)


async def try_lock(session: Session, lock_class: LockClass, number: int = 0) -> bool:
    """Take the lock for the life of the session; False when another session has it."""
    return bool(await session.fetchval("SELECT pg_try_advisory_lock($1::int4, $2::int4)", int(lock_class), number))


async def try_locks(session: Session, lock_class: LockClass, numbers: Sequence[int]) -> set[int]:
    """Take those of many locks that no other session has; their numbers."""
    if not numbers:
        return set()
    statement = "SELECT n FROM unnest($2::int4[]) AS n WHERE pg_try_advisory_lock($1::int4, n)"
    return {int(row["n"]) for row in await session.fetch(statement, int(lock_class), numbers)}


async def share_lock(session: Session, lock_class: LockClass, number: int = 0) -> bool:
    """Hold the lock together with others, for the life of the session; False when another session has it alone."""
    return bool(
        await session.fetchval("SELECT pg_try_advisory_lock_shared($1::int4, $2::int4)", int(lock_class), number)
    )


async def wait_for_lock(session: Session, lock_class: LockClass, number: int = 0) -> None:
    """Take the lock, however long another session has it; asked for twice a second, so that no query hangs."""
    while not await try_lock(session, lock_class, number):  # noqa: ASYNC110 - what we wait for is in another process
        await asyncio.sleep(TRY_EVERY_S)
