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
_HOLD = "SELECT 1 FROM users WHERE user_id = $1 AND password_hash = $2 FOR SHARE"
_REPLACE = "UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2 RETURNING 1"
_ME = """
SELECT u.email, u.role, u.created_at, t.confirmed_at IS NOT NULL AS is_totp_enabled,
  (SELECT count(*) FROM recovery_codes c WHERE c.user_id = u.user_id AND c.used_at IS NULL) AS recovery_codes_left
FROM users u LEFT JOIN totp t USING (user_id) WHERE user_id = $1
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


async def read_credentials(session: Session, user_id: int) -> tuple[str, str] | None:
    """The e-mail address and the password hash of a user; None for an unknown user."""
    row = await session.fetchrow("SELECT email, password_hash FROM users WHERE user_id = $1", user_id)
    return None if row is None else (row["email"], row["password_hash"])


async def is_password(session: Session, user_id: int, password_hash: str) -> bool:
    """Whether this is still the user's hash; it stays so until the caller's transaction ends.

    So no login by an old password outlives the change: it is refused, or it is there to be ended.
    """
    return await session.fetchval(_HOLD, user_id, password_hash) is not None


async def change_password(session: Session, user_id: int, old_hash: str, new_hash: str) -> bool:
    """Replace a password that has been checked; False where it has changed since."""
    return await session.fetchval(_REPLACE, user_id, old_hash, new_hash) is not None


async def role_of(session: Session, user_id: int) -> str | None:
    """The user's current role, `user` or `admin`; None for an unknown user."""
    role: str | None = await session.fetchval("SELECT role FROM users WHERE user_id = $1", user_id)
    return role


async def read_user(session: Session, user_id: int) -> MeView | None:
    """A user's profile; None for an unknown user."""
    row = await session.fetchrow(_ME, user_id)
    if row is None:
        return None
    is_enabled = row["is_totp_enabled"]
    left = row["recovery_codes_left"] if is_enabled else None
    return MeView(str(user_id), row["email"], row["role"], time_text(row["created_at"]), is_enabled, left)


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
