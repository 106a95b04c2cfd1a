"""Funded users and their tokens, created without the API: hashing passwords is not part of the measure."""

from typing import NamedTuple

import asyncpg

from api.access.tokens import Tokens
from app.operator import now
from schemas.rest.transfers import DepositRequest
from store.money.deposits import deposit
from store.users.users import create_user

WEALTH = "100000000"


class FundedUser(NamedTuple):
    """A user of the database and a token that identifies them."""

    user: int
    token: str


async def make_users(dsn: str, secret: str, count: int, prefix: str, wealth: str = WEALTH) -> list[FundedUser]:
    """This many rich users."""
    tokens, at = Tokens(secret, now), now()
    session = await asyncpg.connect(dsn)
    try:
        users = []
        for number in range(count):
            user = await create_user(session, f"{prefix}-{number}@bench.example", "!", at)
            assert user is not None
            await deposit(session, user, DepositRequest("USDC", wealth), None, at)
            users.append(FundedUser(user, tokens.issue(user)))
        return users
    finally:
        await session.close()
