"""Registration, look-up and the role, on a real database."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from schemas.units import Timestamp
from store.session.connect import Connection
from store.users.users import create_user, find_user, role_of

NOON = Timestamp(1_800_000_000_000_000)


@pytest_asyncio.fixture
async def session(database: str) -> AsyncIterator[Connection]:
    """A session on a fresh database."""
    opened: Connection = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def test_a_registered_user_is_found_with_the_hash(session: Connection) -> None:
    """The address leads to the id and to the stored hash."""
    user = await create_user(session, "ann@example.org", "argon2-hash", NOON)
    assert await find_user(session, "ann@example.org") == (user, "argon2-hash")


async def test_an_address_is_used_once_in_any_case(session: Connection) -> None:
    """Ann@Example.org and ann@example.org are one mailbox."""
    first = await create_user(session, "Ann@Example.org", "one", NOON)
    assert await create_user(session, "ann@example.ORG", "two", NOON) is None
    assert await find_user(session, "ANN@example.org") == (first, "one")


async def test_only_one_of_many_registrations_at_once_wins(database: str) -> None:
    """Ten sessions race for one address: one user, one account."""
    sessions = [await asyncpg.connect(database) for _ in range(10)]
    answers = await asyncio.gather(*(create_user(s, "race@x.io", "hash", NOON) for s in sessions))
    assert sum(answer is not None for answer in answers) == 1
    assert await sessions[0].fetchval("SELECT count(*) FROM accounts WHERE user_id > 0") == 1
    for opened in sessions:
        await opened.close()


async def test_a_new_user_has_an_empty_wallet_and_no_rights(session: Connection) -> None:
    """Registration makes the account in the same statement."""
    user = await create_user(session, "ann@x.io", "hash", NOON)
    assert await session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", user) == 0
    assert user is not None
    assert await role_of(session, user) == "user"


async def test_an_unknown_address_is_nobody(session: Connection) -> None:
    """Strange letters do not trouble the database."""
    for email in ["nobody@x.io", "nul\x00@x.io", "' OR true --@x.io", "ü@x.io"]:
        assert await find_user(session, email) is None
    assert await role_of(session, 12345) is None
