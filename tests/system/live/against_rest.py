"""What clients have rebuilt from the socket, compared with what REST shows."""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any

import aiohttp

from tests.eventually import eventually
from tests.system.live.follower import Follower
from tests.system.live.rebuilt import BookAt
from tests.system.verdict import MARKETS, every

SETTLED_WITHIN_S = 60.0
OF_THE_MARK = {"markPrice", "unrealizedPnl", "liquidationPrice", "maintenanceMargin", "initialMargin", "adlRank"}
"""Of a position, values that change with prices while nothing happens to it."""


async def compare_books(session: aiohttp.ClientSession, followers: Iterable[Follower]) -> int:
    """Books at the sequence of REST; how many were there to compare. Where REST does not answer, none."""
    compared = 0
    for market in MARKETS:
        try:
            async with session.get(f"/markets/{market}/orderbook?depth=500") as answer:
                shown = await answer.json()
                if answer.status != 200:
                    continue
        except (aiohttp.ClientError, OSError, TimeoutError):
            continue
        for follower in followers:
            book = follower.books[market]
            if there := book.at(shown["sequence"]):
                _are_equal(there, shown, book.depth)
                compared += 1
    return compared


async def final_states_are_equal(url: str, followers: list[Follower]) -> None:
    """Books, trades, orders, fills, positions and balances, once the last frames have come."""
    async with aiohttp.ClientSession(url) as session:
        for follower in followers:
            assert {order["clientOrderId"]: key for key, order in follower.account.orders.items()} == follower.accepted
            await _eventually_equal(lambda at=follower: _orders(session, at))
            await _eventually_equal(lambda at=follower: _fills(session, at))
            await _eventually_equal(lambda at=follower: _positions(session, at))
            await _eventually_equal(lambda at=follower: _balance(session, at))
            for market in MARKETS:
                await _eventually_equal(lambda at=follower, of=market: _trades(session, at, of))
                await _eventually_equal(lambda at=follower, of=market: _book(session, at, of))
                position = follower.account.positions.get(market)
                held = Decimal(position["quantity"]) * (1 if position["side"] == "LONG" else -1) if position else 0
                assert follower.account.held(market) == held


async def _eventually_equal(pair: Callable[[], Awaitable[tuple[Any, Any]]]) -> None:
    shown: Any = None
    built: Any = None

    async def are_equal() -> bool:
        nonlocal shown, built
        shown, built = await pair()
        return bool(shown == built)

    try:
        await eventually(are_equal, SETTLED_WITHIN_S, every_s=0.5)
    except AssertionError as error:
        raise AssertionError(difference(shown, built)) from error


def difference(shown: Any, built: Any) -> str:
    """What REST shows and the socket does not, and the other way round; of entries by key, only those that differ."""
    if not (isinstance(shown, dict) and isinstance(built, dict)):
        return f"REST {str(shown)[-1_000:]}, socket {str(built)[-1_000:]}"
    keys = [key for key in {**shown, **built} if shown.get(key) != built.get(key)]
    return "; ".join(f"{key}: {difference(shown.get(key), built.get(key))}" for key in keys[:5])


async def _orders(session: aiohttp.ClientSession, follower: Follower) -> tuple[Any, Any]:
    shown = {order["orderId"]: _known(order) for order in await every(session, follower.trader, "/orders")}
    return shown, {key: _known(order) for key, order in follower.account.orders.items()}


def _known(order: dict[str, Any]) -> dict[str, Any]:
    """No event tells of a requested cancel, unless the cancel has ended the order."""
    return order if order["reason"] == "USER" else {**order, "cancelRequestedAt": None}


async def _fills(session: aiohttp.ClientSession, follower: Follower) -> tuple[Any, Any]:
    shown = await every(session, follower.trader, "/fills")
    return {(fill["tradeId"], fill["liquidityRole"]): fill for fill in shown}, follower.account.fills


async def _positions(session: aiohttp.ClientSession, follower: Follower) -> tuple[Any, Any]:
    async with session.get("/positions", headers=follower.trader.headers) as answer:
        shown = await answer.json()
    built = [each for each in follower.account.positions.values() if each is not None]
    return _without_the_mark(shown), _without_the_mark(built)


def _without_the_mark(positions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        each["marketId"]: {key: value for key, value in each.items() if key not in OF_THE_MARK} for each in positions
    }


async def _balance(session: aiohttp.ClientSession, follower: Follower) -> tuple[Any, Any]:
    """The wallet: what positions lock of it changes with the mark, and no message tells of that while nothing happens to the account."""
    async with session.get("/balances", headers=follower.trader.headers) as answer:
        (shown,) = await answer.json()
    built = follower.account.balance
    return tuple({key: each[key] for key in ("asset", "total")} for each in (shown, built or shown))  # type: ignore[return-value]


async def _trades(session: aiohttp.ClientSession, follower: Follower, market: str) -> tuple[Any, Any]:
    built = follower.trades[market]
    shown: list[Any] = []
    query = f"fromSequence={built.first}&limit=500"
    while query:
        async with session.get(f"/markets/{market}/fills?{query}") as answer:
            page = await answer.json()
        shown += page["data"]
        query = f"limit=500&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    return shown, built.trades


async def _book(session: aiohttp.ClientSession, follower: Follower, market: str) -> tuple[Any, Any]:
    async with session.get(f"/markets/{market}/orderbook?depth=500") as answer:
        shown = await answer.json()
    book = follower.books[market]
    return _levels(shown, book.depth), (book.kept[-1].bids, book.kept[-1].asks)


def _are_equal(there: BookAt, shown: dict[str, Any], depth: int) -> None:
    assert (there.bids, there.asks) == _levels(shown, depth), f"at {shown['sequence']}, after {there.sequence}"


def _levels(shown: dict[str, Any], depth: int) -> tuple[Any, Any]:
    bids, asks = ([[level["price"], level["quantity"]] for level in shown[side][:depth]] for side in ("bids", "asks"))
    return bids, asks
