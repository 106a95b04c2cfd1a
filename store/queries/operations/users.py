"""Users for operators: found by id or e-mail, with their money and what holds them."""

from typing import Any

from exchange.risk.margin import equity, total_maintenance, total_requirement
from schemas.ids import user_id_of
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.acts import UserAccountView, UserView
from schemas.units import Timestamp, datetime_of, format_micros
from store.margin_accounts import read_account
from store.queries.accounts.balances import balance_view
from store.queries.by_id import page_by_id
from store.queries.formatting import storable, time_text, time_text_or_none
from store.queries.paging import Conditions, ListRequest
from store.session.connect import Session
from store.users.users import normal_email

_READ = """
SELECT u.user_id, u.email, u.role, u.created_at, a.frozen_at FROM users u JOIN accounts a USING (user_id) WHERE
"""
_COUNTS = """
SELECT (SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)) AS keys,
  (SELECT count(*) FROM orders WHERE user_id = $1 AND (is_live OR is_waiting)) AS orders
"""
_ACCOUNTS_AFTER = (
    "SELECT user_id FROM accounts WHERE user_id > $1::int8 AND user_id > 0 ORDER BY user_id LIMIT $2::int8"
)
_LAST = "\U0010ffff"


async def count_accounts(session: Session) -> int:
    """How many users there are."""
    return int(await session.fetchval("SELECT count(*) FROM accounts WHERE user_id > 0"))


async def read_accounts_after(session: Session, user: int, limit: int) -> list[int]:
    """The next users by number, at most so many."""
    rows = await session.fetch(_ACCOUNTS_AFTER, user, limit)
    return [row["user_id"] for row in rows]


async def list_users(
    session: Session, search: str | None, request: ListRequest, *, is_frozen: bool = False
) -> Page[UserView] | Refused:
    """A page of users, newest first: those whose id is `search`, or whose e-mail begins with it; with `is_frozen` only frozen ones."""
    where = Conditions("u.user_id > 0")
    if search is not None:
        _add_search(where, search)
    if is_frozen:
        where.add("a.frozen_at IS NOT NULL")
    return await page_by_id(session, _READ, where, request, id_column="u.user_id", view=user_view)


async def read_user_account(session: Session, user: int, now: Timestamp) -> UserAccountView | None:
    """One user with their money; None for an unknown user, and for the insurance fund."""
    async with session.transaction(isolation="repeatable_read", readonly=True):
        row = await session.fetchrow(f"{_READ} u.user_id = $1 AND u.user_id > 0", user)
        account = await read_account(session, user)
        counts = await session.fetchrow(_COUNTS, user, datetime_of(now))
    if row is None or account is None or counts is None:
        return None
    return UserAccountView(
        user=user_view(row),
        balance=balance_view(account),
        equity=format_micros(equity(account)),
        required_margin=format_micros(total_requirement(account)),
        maintenance_margin=format_micros(total_maintenance(account)),
        is_in_liquidation=account.liquidation_id is not None,
        active_keys=counts["keys"],
        open_orders=counts["orders"],
    )


def user_view(row: Any) -> UserView:
    """A row of `users` with its account, as operators see it."""
    return UserView(
        user_id=str(row["user_id"]),
        email=row["email"],
        role=row["role"],
        created_at=time_text(row["created_at"]),
        frozen_at=time_text_or_none(row["frozen_at"]),
    )


def _add_search(where: Conditions, search: str) -> None:
    user, email = user_id_of(search), normal_email(storable(search))
    if user is not None:
        where.add("(u.user_id = {} OR (u.email >= {} AND u.email < {}))", user, email, email + _LAST)
    else:
        where.add("u.email >= {} AND u.email < {}", email, email + _LAST)
