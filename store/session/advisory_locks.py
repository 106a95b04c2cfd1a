"""Exclusive work: session-level advisory locks, released when the session that holds them ends."""

import asyncio
from collections.abc import Sequence
from enum import IntEnum

from store.session.connect import Session

TRY_EVERY_S = 0.5
_TRY_MANY = "SELECT n FROM unnest($2::int4[]) AS n WHERE pg_try_advisory_lock($1::int4, n)"
_RELEASE = "SELECT pg_advisory_unlock($1::int4, n) FROM unnest($2::int4[]) AS n"


class LockClass(IntEnum):
    """The first key of a lock: what is locked. The second key is the market's number, or 0."""

    PRICES = 7_370_010
    RELAY = 7_370_011
    CLOCK = 7_370_012
    REBUILD = 7_370_013
    WORKERS = 7_370_014
    LIQUIDATOR = 7_370_015
    AUDITOR = 7_370_016
    ACTIVATOR = 7_370_018
    CANDLES = 7_370_020
    MEMBERS = 7_370_021  # the second key is the number of a session (store/session/group_members.py)
    PROCESSES = 7_370_100
    TASKS = 7_370_101  # and the following numbers, one per kind of work (store/session/presence.py)


async def try_lock(session: Session, lock_class: LockClass, number: int = 0) -> bool:
    """Take the lock until the session ends; False when another session holds it."""
    return bool(await session.fetchval("SELECT pg_try_advisory_lock($1::int4, $2::int4)", int(lock_class), number))


async def try_locks(session: Session, lock_class: LockClass, numbers: Sequence[int]) -> set[int]:
    """Take those of many locks that no other session holds; returns their numbers."""
    if not numbers:
        return set()
    return {int(row["n"]) for row in await session.fetch(_TRY_MANY, int(lock_class), numbers)}


async def release_locks(session: Session, lock_class: LockClass, numbers: Sequence[int]) -> None:
    """Release locks before the session ends, each taken once."""
    if numbers:
        await session.execute(_RELEASE, int(lock_class), numbers)


async def share_lock(session: Session, lock_class: LockClass, number: int = 0) -> bool:
    """Share the lock until the session ends; False when another session holds it exclusively."""
    return bool(
        await session.fetchval("SELECT pg_try_advisory_lock_shared($1::int4, $2::int4)", int(lock_class), number)
    )


async def wait_for_lock(session: Session, lock_class: LockClass, number: int = 0) -> None:
    """Take the lock, however long another session holds it; polled twice a second, so that no query hangs."""
    while not await try_lock(session, lock_class, number):  # noqa: ASYNC110 - the holder is another process
        await asyncio.sleep(TRY_EVERY_S)
