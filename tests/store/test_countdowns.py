"""The dead-man's switch in the tables: what is submitted, and what the projection keeps of it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from schemas.commands import AdvanceClock, SetCountdown, SetStatus
from schemas.ids import order_key
from schemas.market import MarketStatus
from schemas.orders import CountdownScope, Side
from schemas.refusals import ErrorCode, Refused
from schemas.units import SECOND_US, Timestamp, timestamp_of
from store.audit.audit import audit
from store.submission import CountdownSet, CountdownsSet, SubmitCountdown
from tests.store.account_builder import NOW, USDC, session_to, submission_to, user_with
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange
from tests.store.test_submission import commands

BTC, ETH = "BTC-PERP", "ETH-PERP"
ALL, SPARING = CountdownScope.ALL, CountdownScope.NON_REDUCE_ONLY


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A running exchange whose books must balance in the end."""
    opened = await open_exchange(database)
    yield opened
    assert await audit(opened.session) == []
    await opened.close()


async def countdowns(exchange: Exchange) -> list[tuple[int, int, int, str]]:
    """Market, user, microseconds from noon and scope of each row."""
    rows = await exchange.session.fetch("SELECT market_id, user_id, deadline, scope FROM countdowns ORDER BY 1, 2")
    return [(row["market_id"], row["user_id"], timestamp_of(row["deadline"]) - NOON, row["scope"]) for row in rows]


def at(seconds: int) -> Timestamp:
    """So many seconds after noon."""
    return Timestamp(NOON + seconds * SECOND_US)


async def test_each_account_and_market_has_its_last_countdown(exchange: Exchange) -> None:
    """Set, replaced in the same batch and in a later one, stopped; the other market and account keep theirs."""
    ann, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, SetCountdown(NOON, ann, 9_000))
    await exchange.submit(BTC, SetCountdown(NOON, ann, 5_000, SPARING))
    await exchange.submit(BTC, SetCountdown(NOON, bob, 7_000))
    await exchange.submit(ETH, SetCountdown(NOON, ann, 6_000))
    await exchange.settle()
    assert await countdowns(exchange) == [
        (1, ann, 5_000_000, "NON_REDUCE_ONLY"),
        (1, bob, 7_000_000, "ALL"),
        (2, ann, 6_000_000, "ALL"),
    ]
    await exchange.submit(BTC, SetCountdown(at(1), ann, 5_000))
    await exchange.submit(BTC, SetCountdown(at(1), bob, 0))
    await exchange.settle()
    assert await countdowns(exchange) == [(1, ann, 6_000_000, "ALL"), (2, ann, 6_000_000, "ALL")]


async def test_a_countdown_that_fires_ends_the_orders_and_is_gone(exchange: Exchange) -> None:
    """CANCELLED, DEAD_MAN; what they held is released, and the exit of another scope rests on."""
    ann, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(ann, Side.BUY, 5, 600_000))
    await exchange.submit(BTC, an_order(bob, Side.SELL, 5, 600_000))
    bid = await exchange.submit(BTC, an_order(ann, Side.BUY, 5, 599_000))
    exit_ = await exchange.submit(BTC, an_order(ann, Side.SELL, 5, 601_000, reduce_only=True))
    await exchange.submit(BTC, SetCountdown(NOON, ann, 5_000, SPARING))
    await exchange.settle()
    await exchange.submit(BTC, AdvanceClock(at(5)))
    await exchange.settle()
    rows = await exchange.session.fetch("SELECT order_id, status, reason FROM orders WHERE user_id = $1", ann)
    ends = {row["order_id"]: (row["status"], row["reason"]) for row in rows}
    assert ends[order_key(1, bid)] == ("CANCELLED", "DEAD_MAN")
    assert ends[order_key(1, exit_)] == ("OPEN", None)
    held = await exchange.session.fetchrow(
        "SELECT buy_lots, sell_lots, live_orders FROM positions WHERE user_id = $1", ann
    )
    assert tuple(held or ()) == (0, 5, 1)
    assert await countdowns(exchange) == []


async def test_a_settled_market_has_no_countdown(exchange: Exchange) -> None:
    """They end with it."""
    ann = await exchange.user("a@x.io")
    await exchange.submit(BTC, SetCountdown(NOON, ann, 5_000))
    await exchange.settle()
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.SETTLED))
    await exchange.settle()
    assert await countdowns(exchange) == []


async def test_a_countdown_is_a_command_in_each_of_its_markets(database: str) -> None:
    """In one transaction; without a market in all that are listed."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        asked = [SubmitCountdown(user, None, 5_000, SPARING), SubmitCountdown(user, ETH, 0)]
        every, stopped = await submission.run(asked, NOW, {})
        due = Timestamp(NOW + 5_000_000)
        assert every == CountdownsSet(
            (CountdownSet(BTC, "BTC-PERP:2", 5_000, due), CountdownSet(ETH, "ETH-PERP:2", 5_000, due))
        )
        assert stopped == CountdownsSet((CountdownSet(ETH, "ETH-PERP:3", 0, None),))
        assert await commands(session) == [SetCountdown(NOW, user, 5_000, SPARING)]
        assert await commands(session, 2) == [SetCountdown(NOW, user, 5_000, SPARING), SetCountdown(NOW, user, 0)]


async def test_settled_markets_are_left_out(database: str) -> None:
    """Of all markets; the one that is named is refused."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await session.execute("UPDATE markets SET status = 'SETTLED' WHERE market_id = 1")
        every, named = await submission.run(
            [SubmitCountdown(user, None, 5_000), SubmitCountdown(user, BTC, 5_000)], NOW, {}
        )
        assert isinstance(every, CountdownsSet)
        assert [each.market for each in every.countdowns] == [ETH]
        assert isinstance(named, Refused)
        assert (named.code, named.details) == (ErrorCode.MARKET_NOT_ACTIVE, {"marketId": BTC, "status": "SETTLED"})


async def test_markets_of_older_rules_are_named_in_the_refusal(database: str) -> None:
    """Nothing is set anywhere: nobody should rely on half of it. The other market alone is accepted."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await session.execute("UPDATE markets SET rules = 3 WHERE market_id = 2")
        asked = [
            SubmitCountdown(user, None, 5_000),
            SubmitCountdown(user, ETH, 5_000),
            SubmitCountdown(user, BTC, 5_000),
        ]
        every, named, other = await submission.run(asked, NOW, {})
        for refused in (every, named):
            assert isinstance(refused, Refused)
            assert refused.code is ErrorCode.MARKET_NOT_ACTIVE
            assert refused.details == {"reason": "RULES", "marketIds": [ETH]}
            assert "market rules ETH-PERP 4" in refused.message
        assert isinstance(other, CountdownsSet)
        assert await commands(session, 2) == []


async def test_nobody_and_nowhere_are_refused(database: str) -> None:
    """A user that is not here, a market that is not listed."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        asked = [SubmitCountdown(4_711, BTC, 5_000), SubmitCountdown(user, "DOGE-PERP", 5_000)]
        nobody, nowhere = await submission.run(asked, NOW, {})
        assert isinstance(nobody, Refused)
        assert nobody.code is ErrorCode.UNAUTHENTICATED
        assert isinstance(nowhere, Refused)
        assert nowhere.code is ErrorCode.MARKET_NOT_FOUND
