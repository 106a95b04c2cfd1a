"""Users with money, order requests and a submission of their own, for store tests."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp, datetime_of
from store.markets.registry import load_registry
from store.session.connect import Connection, Session, connect_writer
from store.submission import Submission, SubmitOrder

NOW = Timestamp(1_800_000_100_000_000)
USDC = 10**6
_numbers = itertools.count(1)


def order(
    quantity: str = "0.5", price: str | None = "60000", side: Side = Side.BUY, market: str = "BTC-PERP", **more: Any
) -> OrderRequest:
    """An order request; LIMIT when it has a price, MARKET when not."""
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    return OrderRequest(market_id=market, side=side, type=order_type, quantity=quantity, price=price, **more)


def place(user: int, *arguments: Any, **more: Any) -> SubmitOrder:
    """A request of one user, see `order`."""
    return SubmitOrder(user, order(*arguments, **more))


async def user_with(session: Session, wallet: int) -> int:
    """A new user with a wallet (micros), deposited by the book."""
    number = next(_numbers)
    user: int = await session.fetchval(
        "INSERT INTO users (email, password_hash, created_at) VALUES ($1, 'x', $2) RETURNING user_id",
        f"u{number}@example.com",
        datetime_of(NOW),
    )
    await session.execute("INSERT INTO accounts (user_id, wallet) VALUES ($1, $2)", user, wallet)
    return user


async def hold(session: Session, user: int, market_id: int, *, lots: int, cost: int) -> None:
    """Give a user a position at the highest leverage, as the projection would."""
    statement = """
      INSERT INTO positions (user_id, market_id, lots, cost, leverage, opened_seq) VALUES ($1, $2, $3, $4, 20, $5)
    """
    await session.execute(statement, user, market_id, lots, cost, int(lots != 0))


@asynccontextmanager
async def submission_to(dsn: str) -> AsyncIterator[Submission]:
    """A submission over its own session."""

    async def connect() -> Connection:
        return await connect_writer(dsn, "submission")

    async with session_to(dsn) as session:
        submission = Submission(connect, await load_registry(session))
    yield submission
    await submission.close()


@asynccontextmanager
async def session_to(dsn: str) -> AsyncIterator[Connection]:
    """A plain session."""
    session = await asyncpg.connect(dsn)
    yield session
    await session.close()
