"""Users: registration, look-up by e-mail address, and administrators."""

import unicodedata
from typing import NamedTuple

from schemas.rest.users import MeView
from schemas.units import Timestamp, datetime_of
from store.queries.formatting import time_text
from store.session.connect import Session

_CREATE = """
WITH fresh AS (
  INSERT INTO users (email, password_hash, created_at) SELECT $1, $2, $3
  WHERE NOT EXISTS (SELECT FROM users WHERE email = ANY($4::text[])) ON CONFLICT (email) DO NOTHING
  RETURNING user_id
)
INSERT INTO accounts (user_id) SELECT user_id FROM fresh RETURNING user_id
"""
_FIND = """
SELECT user_id, password_hash FROM users WHERE email = ANY($1::text[]) ORDER BY array_position($1::text[], email) LIMIT 1
"""


class StoredUser(NamedTuple):
    """A user's data for the login."""

    user_id: int
    password_hash: str


async def create_user(session: Session, email: str, password_hash: str, at: Timestamp) -> int | None:
    """Register a user with an empty account; returns the user id, None when the address is taken in any form."""
    user: int | None = await session.fetchval(
        _CREATE, normal_email(email), password_hash, datetime_of(at), forms_of(email)
    )
    return user


async def find_user(session: Session, email: str) -> StoredUser | None:
    """The user with this e-mail address; None when it is not registered."""
    row = await session.fetchrow(_FIND, forms_of(email))
    return None if row is None else StoredUser(*row)


async def role_of(session: Session, user_id: int) -> str | None:
    """The user's current role, `user` or `admin`; None for an unknown user."""
    role: str | None = await session.fetchval("SELECT role FROM users WHERE user_id = $1", user_id)
    return role


async def read_user(session: Session, user_id: int) -> MeView | None:
    """A user's profile; None for an unknown user."""
    row = await session.fetchrow("SELECT email, role, created_at FROM users WHERE user_id = $1", user_id)
    if row is None:
        return None
    return MeView(str(user_id), row["email"], row["role"], time_text(row["created_at"]))


async def read_administrators(session: Session) -> list[tuple[int, str]]:
    """The user id and the e-mail address of every administrator, by user id."""
    rows = await session.fetch("SELECT user_id, email FROM users WHERE role = 'admin' ORDER BY user_id")
    return [(row["user_id"], row["email"]) for row in rows]


def normal_email(email: str) -> str:
    """The stored form of an address, so that one mailbox is one user: lower case, and composed (NFC), since keyboards differ."""
    return unicodedata.normalize("NFC", _lower(unicodedata.normalize("NFC", email)))


def forms_of(email: str) -> list[str]:
    """The forms under which an address may be stored: as typed, which earlier releases stored, composed and decomposed."""
    normal = normal_email(email)
    return list(dict.fromkeys((_lower(email), normal, unicodedata.normalize("NFD", normal))))


def _lower(email: str) -> str:
    """Lower case, without NUL, which PostgreSQL cannot store."""
    return email.lower().replace("\x00", "\ufffd")
