"""Users: registration, look-up by e-mail address, and administrators."""

from typing import NamedTuple

from schemas.rest.users import MeView
from schemas.units import Timestamp, datetime_of
from store.queries.formatting import time_text
from store.session.connect import Session

_CREATE = """
WITH fresh AS (
  INSERT INTO users (email, password_hash, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING
  RETURNING user_id
)
INSERT INTO accounts (user_id) SELECT user_id FROM fresh RETURNING user_id
"""


class StoredUser(NamedTuple):
    """A user's data for the login."""

    user_id: int
    password_hash: str


async def create_user(session: Session, email: str, password_hash: str, at: Timestamp) -> int | None:
    """Register a user with an empty account; returns the user id, None when the address is taken (in upper or lower case)."""
    user: int | None = await session.fetchval(_CREATE, _normal(email), password_hash, datetime_of(at))
    return user


async def find_user(session: Session, email: str) -> StoredUser | None:
    """The user with this e-mail address; None when it is not registered."""
    row = await session.fetchrow("SELECT user_id, password_hash FROM users WHERE email = $1", _normal(email))
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


async def set_admin(session: Session, email: str, *, is_admin: bool) -> bool:
    """Make a registered user an administrator, or no longer one; False when the address is not registered."""
    role = "admin" if is_admin else "user"
    status = await session.execute("UPDATE users SET role = $2 WHERE email = $1", _normal(email), role)
    return status == "UPDATE 1"


async def read_administrators(session: Session) -> list[tuple[int, str]]:
    """The user id and the e-mail address of every administrator, by user id."""
    rows = await session.fetch("SELECT user_id, email FROM users WHERE role = 'admin' ORDER BY user_id")
    return [(row["user_id"], row["email"]) for row in rows]


def _normal(email: str) -> str:
    """The stored form of an address: lower case, so that one mailbox is one user; without NUL, which PostgreSQL cannot store."""
    return email.lower().replace("\x00", "\ufffd")
