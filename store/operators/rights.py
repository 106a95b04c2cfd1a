"""What a user may do with the exchange: the role of administrators, API keys, sessions and the second factor."""

from enum import StrEnum

from schemas.rest.operating.acts import Action, ActView
from schemas.units import Timestamp, datetime_of
from store.operators.acts import Act, Operator, record_act
from store.session.connect import Session
from store.users.logins import end_logins
from store.users.totp import reset
from store.users.users import role_of

ADMIN = "admin"
_REVOKE_KEYS = """
UPDATE api_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING key_id
"""


class Kept(StrEnum):
    """Why a role is kept as it is."""

    NO_USER = "NO_USER"
    NOT_ONE = "NOT_ONE"
    """The user is no administrator."""
    LAST_ONE = "LAST_ONE"
    """There would be none left."""
    NO_TOTP = "NO_TOTP"
    """The user has no second factor."""


async def grant_admin(
    session: Session, operator: Operator, user: int, reason: str | None, now: Timestamp
) -> ActView | Kept:
    """Make a user an administrator, from the next request on."""
    async with session.transaction():
        role = await role_of(session, user)
        if role is None:
            return Kept.NO_USER
        await session.execute("UPDATE users SET role = $2 WHERE user_id = $1", user, ADMIN)
        act = Act(Action.GRANT_ADMIN, {"role": role}, {"role": ADMIN}, user, reason=reason)
        return await record_act(session, operator, act, now)


async def revoke_admin(
    session: Session, operator: Operator, user: int, reason: str | None, now: Timestamp
) -> ActView | Kept:
    """Make an administrator an ordinary user again, from the next request on; never the last one, however many do it at once."""
    async with session.transaction():
        if await role_of(session, user) is None:
            return Kept.NO_USER
        outcome: str = await session.fetchval("SELECT remove_administrator($1)", user)
        if outcome != "REMOVED":
            return Kept(outcome)
        act = Act(Action.REVOKE_ADMIN, {"role": ADMIN}, {"role": "user"}, user, reason=reason)
        return await record_act(session, operator, act, now)


async def revoke_keys(session: Session, operator: Operator, user: int, reason: str, now: Timestamp) -> ActView | None:
    """Revoke every API key of a user, for good; None for an unknown user. Each stops working within a second."""
    async with session.transaction():
        if await role_of(session, user) is None:
            return None
        revoked = await session.fetch(_REVOKE_KEYS, user, datetime_of(now))
        keys = sorted(row["key_id"] for row in revoked)
        act = Act(Action.REVOKE_KEYS, {"activeKeys": list(map(str, keys))}, {"activeKeys": []}, user, reason=reason)
        return await record_act(session, operator, act, now)


async def end_sessions(session: Session, operator: Operator, user: int, reason: str, now: Timestamp) -> ActView | None:
    """End every session of a user: each token is refused within a second, and its sockets close. None for an unknown user."""
    async with session.transaction():
        if await role_of(session, user) is None:
            return None
        ended = await end_logins(session, user, now)
        named = [str(login) for login in sorted(ended) if login > 0]
        act = Act(Action.END_SESSIONS, {"sessions": named}, {"sessions": []}, user, reason=reason)
        return await record_act(session, operator, act, now)


async def remove_totp(
    session: Session, operator: Operator, user: int, reason: str, now: Timestamp
) -> ActView | Kept | None:
    """Remove the second factor of a user, whose next login needs no code. None for an unknown user."""
    async with session.transaction():
        if await role_of(session, user) is None:
            return None
        if not await reset(session, user):
            return Kept.NO_TOTP
        act = Act(Action.REMOVE_TOTP, {"isTotpEnabled": True}, {"isTotpEnabled": False}, user, reason=reason)
        return await record_act(session, operator, act, now)
