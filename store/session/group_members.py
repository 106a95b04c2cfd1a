"""The members of consumer groups beside the presence of their processes: one whose process is gone can be removed at once.

Each session that shows members holds the advisory lock of a number, which their rows name. PostgreSQL releases the lock at the
very moment the process dies, where Kafka waits for the session time-out of the member.
"""

import secrets
from collections.abc import Collection
from typing import NamedTuple

from store.session.advisory_locks import LockClass, try_lock
from store.session.connect import Session

NUMBER_BITS = 31
FORGOTTEN_AFTER_S = 60
"""After a restart of PostgreSQL nobody is removed who has not shown itself again: by then its session has timed out."""


class GroupMember(NamedTuple):
    """A member of a group, by the id that the broker gave it."""

    group: str
    member: str


class SeenMember(NamedTuple):
    """A member as another process sees it: whether its process is gone, and whether it was shown to this run of PostgreSQL."""

    member: GroupMember
    is_gone: bool
    is_of_this_server: bool


_SHOW = """
INSERT INTO group_members (group_id, member_id, holder, server_started) VALUES ($1, $2, $3, pg_postmaster_start_time())
ON CONFLICT (group_id, member_id) DO UPDATE SET holder = excluded.holder, server_started = excluded.server_started
"""
_KEEP = """
UPDATE group_members SET holder = $3, server_started = pg_postmaster_start_time()
WHERE (group_id, member_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) RETURNING group_id, member_id
"""
_HIDE = "DELETE FROM group_members WHERE group_id = $1 AND member_id = $2"
_FORGET = f"""
DELETE FROM group_members WHERE group_id = $1 AND server_started <> pg_postmaster_start_time()
  AND pg_postmaster_start_time() < clock_timestamp() - interval '{FORGOTTEN_AFTER_S} s'
"""  # noqa: S608 - a constant of ours
_READ = """
SELECT group_id, member_id, pg_try_advisory_xact_lock_shared($3::int4, holder) AS is_gone,
  server_started = pg_postmaster_start_time() AS is_of_this_server
FROM group_members WHERE group_id = ANY($1::text[]) AND holder <> $2
"""
_CLAIM = """
DELETE FROM group_members WHERE group_id = $1 AND member_id = $2 AND server_started = pg_postmaster_start_time()
  AND pg_try_advisory_xact_lock_shared($3::int4, holder) RETURNING true
"""


async def hold_number(session: Session) -> int:
    """A number that no other session has, until this one ends."""
    while True:
        number = secrets.randbits(NUMBER_BITS)
        if await try_lock(session, LockClass.MEMBERS, number):
            return number


async def show_member(session: Session, number: int, member: GroupMember) -> None:
    """Show a member that the process of this session holds."""
    await session.execute(_SHOW, *member, number)
    await session.execute(_FORGET, member.group)


async def keep_members(session: Session, number: int, members: Collection[GroupMember]) -> frozenset[GroupMember]:
    """Show members in the name of a new session; returns those that nobody has removed meanwhile."""
    if not members:
        return frozenset()
    groups, ids = zip(*members, strict=True)
    return frozenset(GroupMember(*row) for row in await session.fetch(_KEEP, groups, ids, number))


async def hide_member(session: Session, member: GroupMember) -> None:
    """Show a member no longer: it has left its group."""
    await session.execute(_HIDE, *member)


async def read_others(session: Session, number: int, groups: Collection[str]) -> list[SeenMember]:
    """The members of these groups that other processes hold or held. The lock of a process is free if it can be shared."""
    rows = await session.fetch(_READ, list(groups), number, int(LockClass.MEMBERS))
    return [
        SeenMember(GroupMember(row["group_id"], row["member_id"]), row["is_gone"], row["is_of_this_server"])
        for row in rows
    ]


async def claim_member(session: Session, member: GroupMember) -> bool:
    """Delete the row of a member whose process is gone. True for one caller alone, who removes the member from its group."""
    return bool(await session.fetchval(_CLAIM, *member, int(LockClass.MEMBERS)))
