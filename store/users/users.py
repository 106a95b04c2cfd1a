"""People: registration, look-up by e-mail address, and who may administer."""

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
    """A user as the login needs him."""

    user_id: int
    password_hash: str


async def create_user(session: Session, email: str, password_hash: str, at: Timestamp) -> int | None:
    """Register a user with an empty account; his id, None when the address is taken (in any case of its letters)."""
    user: int | None = await session.fetchval(_CREATE, _normal(email), password_hash, datetime_of(at))
    return user


async def find_user(session: Session, email: str) -> StoredUser | None:
    """The user behind an address; None when nobody registered it."""
    row = await session.fetchrow("SELECT user_id, password_hash FROM users WHERE email = $1", _normal(email))
    return None if row is None else StoredUser(*row)


async def role_of(session: Session, user_id: int) -> str | None:
    """`user` or `admin`, as the database says now; None for an unknown user."""
    role: str | None = await session.fetchval("SELECT role FROM users WHERE user_id = $1", user_id)
    return role


async def read_user(session: Session, user_id: int) -> MeView | None:
    """Who a user is; None for an unknown one."""
    row = await session.fetchrow("SELECT email, role, created_at FROM users WHERE user_id = $1", user_id)
    if row is None:
        return None
    return MeView(str(user_id), row["email"], row["role"], time_text(row["created_at"]))


async def grant_admin(session: Session, email: str) -> bool:
    """Make a registered user an administrator; false when nobody registered the address."""
    status = await session.execute("UPDATE users SET role = 'admin' WHERE email = $1", _normal(email))
    return status == "UPDATE 1"


def _normal(email: str) -> str:
    """One mailbox, one user: case does not tell people apart; PostgreSQL stores no NUL, so nobody has one."""
    return email.lower().replace("\x00", "\ufffd")
