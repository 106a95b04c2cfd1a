"""Logins: each is a row that its token names, listed and ended by its user.

An ended login is announced on a channel to every API process; a process that may have missed one reads them again.
"""

from typing import Any, NamedTuple

from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.users import LoginView
from schemas.units import Timestamp, datetime_of
from store.queries.formatting import time_text
from store.queries.paging import Conditions, Int8, ListRequest, decode_cursor, in_order, page_of
from store.session.connect import Session

TOKEN_LIFETIME_S = 12 * 3_600
"""How long the token of a login is valid, unless the login ends before."""
ENDED_CHANNEL = "logins_ended"
"""Announces `login_id` and, in whole seconds, the time at which its token expires."""
KEPT_DAYS = 30
"""How long the row of an expired login is kept."""
_START = """
INSERT INTO logins (user_id, created_at, expires_at, address, user_agent) VALUES ($1, $2, $3, $4, $5) RETURNING login_id
"""
_FORGET = "DELETE FROM logins WHERE user_id = $1 AND expires_at < $2::timestamptz - make_interval(days => $3)"
_SELECT = "SELECT login_id, created_at, expires_at, address, user_agent FROM logins WHERE "
_END = """
UPDATE logins SET ended_at = $3 WHERE login_id = $2 AND user_id = $1 AND ended_at IS NULL AND expires_at > $3
RETURNING login_id
"""
_END_OTHERS = """
UPDATE logins SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND login_id <> $3
RETURNING login_id
"""
_END_UNNAMED = """
INSERT INTO logins (login_id, user_id, created_at, expires_at, address, user_agent, ended_at)
VALUES (-$1::int8, $1, $2, $3, '', '', $2)
ON CONFLICT (login_id) DO UPDATE SET ended_at = EXCLUDED.ended_at, expires_at = EXCLUDED.expires_at
"""
_READ_ENDED = """
SELECT login_id, floor(extract(epoch FROM expires_at))::int8 AS expires_at_s FROM logins
WHERE ended_at IS NOT NULL AND expires_at > $1
"""
_IS_ENDED = "SELECT EXISTS (SELECT FROM logins WHERE login_id = $1 AND ended_at IS NOT NULL AND expires_at > $2)"


class NewLogin(NamedTuple):
    """A login to start: whose, when, and from where."""

    user: int
    at: Timestamp
    address: str
    user_agent: str


async def start_login(session: Session, login: NewLogin) -> int:
    """Start a login in the caller's transaction; returns its id."""
    at = datetime_of(login.at)
    await session.execute(_FORGET, login.user, at, KEPT_DAYS)
    started: int = await session.fetchval(
        _START, login.user, at, datetime_of(expiry_at(login.at)), login.address, login.user_agent
    )
    return started


async def list_logins(
    session: Session, user: int, request: ListRequest, at: Timestamp, current: int
) -> Page[LoginView] | Refused:
    """A page of the user's logins that are in force, newest first; `current` is the caller's."""
    after = decode_cursor(request.cursor, Int8)
    if isinstance(after, Refused):
        return after
    where = Conditions("user_id = {} AND ended_at IS NULL AND expires_at > {}", user, datetime_of(at))
    if after is not None:
        where.add_after(("login_id",), (after,), request)
    rows = await session.fetch(f"{_SELECT}{where}{in_order(('login_id',), request)}", *where.arguments)
    return page_of(rows, request.limit, lambda row: row["login_id"], lambda row: _view(row, current))


async def end_login(session: Session, user: int, login: int, at: Timestamp) -> bool:
    """End one login of a user; False when the user has no such login in force."""
    return await session.fetchval(_END, user, login, datetime_of(at)) is not None


async def end_logins(session: Session, user: int, at: Timestamp, *, but: int = 0) -> list[int]:
    """End every login of a user except one, and every token that names none; returns what ended, as the channel names it."""
    async with session.transaction():
        rows = await session.fetch(_END_OTHERS, user, datetime_of(at), but)
        return [*(row["login_id"] for row in rows), await end_unnamed(session, user, at)]


async def end_unnamed(session: Session, user: int, at: Timestamp) -> int:
    """End every token of a user that names no login, as the release before has issued them; returns their common number."""
    await session.execute(_END_UNNAMED, user, datetime_of(at), datetime_of(expiry_at(at)))
    return -user


def expiry_at(at: Timestamp) -> Timestamp:
    """When the token of a login of that time expires: a whole second, as tokens have them."""
    return Timestamp((at // 1_000_000 + TOKEN_LIFETIME_S) * 1_000_000)


async def read_ended(session: Session, at: Timestamp) -> dict[int, int]:
    """The ended logins whose tokens have not expired, with the second at which they do."""
    rows = await session.fetch(_READ_ENDED, datetime_of(at))
    return {row["login_id"]: row["expires_at_s"] for row in rows}


async def is_ended(session: Session, login: int, at: Timestamp) -> bool:
    """Whether a login has ended whose tokens have not expired."""
    ended: bool = await session.fetchval(_IS_ENDED, login, datetime_of(at))
    return ended


def _view(row: Any, current: int) -> LoginView:
    return LoginView(
        session_id=str(row["login_id"]),
        created_at=time_text(row["created_at"]),
        expires_at=time_text(row["expires_at"]),
        address=row["address"],
        user_agent=row["user_agent"],
        is_current=row["login_id"] == current,
    )
