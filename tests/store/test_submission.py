"""Group commit of orders and cancels on a real database: the rows written, and the answer to each request."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.commands import CancelOrder, CancelOrders, PlaceOrder
from schemas.market import SEED_MARKETS
from schemas.orders import OrderStatus, Side
from schemas.refusals import ErrorCode, Refused
from schemas.units import Timestamp, datetime_of
from schemas.wire import decode_command
from store.markets.backlog import MarketLoad
from store.markets.registry import list_market
from store.session.connect import Session
from store.submission import (
    BATCH_MAX,
    Answers,
    CancelPlaced,
    Placed,
    SubmissionOutcome,
    SubmitCancel,
    SubmitCancelAll,
    SubmitGroup,
    SubmitOrder,
)
from tests.store.account_builder import NOW, USDC, hold, order, place, session_to, submission_to, user_with

LATER = Timestamp(NOW + 1_000_000)
FROM_THE_POSITION_ROW = """
SELECT user_id, market_id, buy_notional, sell_notional, open_loss, open_fees, buy_lots, sell_lots, live_orders
FROM positions ORDER BY 1, 2
"""
FROM_LIVE_ORDERS = """
SELECT user_id, o.market_id,
  coalesce(sum(remaining * margin_price * lot_value) FILTER (WHERE side = 'BUY'), 0),
  coalesce(sum(remaining * margin_price * lot_value) FILTER (WHERE side = 'SELL'), 0),
  sum(remaining * loss_per_lot), sum(remaining * fee_per_lot),
  coalesce(sum(remaining) FILTER (WHERE side = 'BUY'), 0), coalesce(sum(remaining) FILTER (WHERE side = 'SELL'), 0),
  count(*)
FROM orders o JOIN market_lot_values USING (market_id) WHERE is_live GROUP BY 1, 2 ORDER BY 1, 2
"""


def placed(number: int, market: str = "BTC-PERP", *, is_replay: bool = False) -> Placed:
    """The answer to a pending order that command `number` created."""
    return Placed(f"{market}-{number}", f"{market}:{number}", OrderStatus.PENDING, is_replay)


def codes(answers: list[SubmissionOutcome]) -> list[ErrorCode | None]:
    """The code of each refusal, None for what was accepted."""
    return [answer.code if isinstance(answer, Refused) else None for answer in answers]


async def commands(session: Session, market_id: int = 1) -> list[Any]:
    """The commands of a market after its listing, in order, with gapless sequences."""
    statement = "SELECT command_seq, payload FROM outbox WHERE market_id = $1 AND command_seq > 1 ORDER BY command_seq"
    rows = await session.fetch(statement, market_id)
    assert [row["command_seq"] for row in rows] == list(range(2, 2 + len(rows)))
    return [decode_command(row["payload"]) for row in rows]


async def test_an_accepted_order_leaves_a_pending_row_its_margin_sums_and_its_command(database: str) -> None:
    """The walk: A bids 0.5 BTC at 60,000 with leverage 10; order, sums and outbox row are one transaction."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        assert await submission.run([place(user, client_order_id="a1", leverage=10)], NOW, {}) == [placed(2)]
        row = await session.fetchrow("SELECT order_id, status, quantity, remaining, price, leverage FROM orders")
        assert tuple(row or ()) == ((1 << 40) + 2, "PENDING", 500, 500, 600_000, 10)
        assert [tuple(row) for row in await session.fetch(FROM_THE_POSITION_ROW)] == [
            (user, 1, 30_000 * USDC, 0, 0, 15 * USDC, 500, 0, 1)
        ]
        assert await session.fetchval("SELECT leverage FROM positions") == 10
        [command] = await commands(session)
        assert isinstance(command, PlaceOrder)
        assert (command.user, command.at, command.leverage, command.margin_price) == (user, NOW, 10, 600_000)


async def test_a_refused_order_leaves_nothing(database: str) -> None:
    """100 BTC with 10,000 is refused with its numbers, and not stored."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        [answer] = await submission.run([place(user, "100")], NOW, {})
        assert isinstance(answer, Refused)
        assert (answer.code, answer.details) == (
            ErrorCode.INSUFFICIENT_MARGIN,
            {"required": "303000", "available": "10000", "pendingCancels": 0},
        )
        for table in ("orders", "positions"):
            assert await session.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert await commands(session) == []


async def test_each_decision_of_a_batch_sees_the_ones_before_it(database: str) -> None:
    """3,030 each from 10,000: three are accepted, the fourth is refused, another user's and another market's are not."""
    async with submission_to(database) as submission, session_to(database) as session:
        poor, rich = await user_with(session, 10_000 * USDC), await user_with(session, 10_000 * USDC)
        batch = [place(poor, "1") for _ in range(4)] + [place(rich, "1"), place(poor, "5", "3000", market="ETH-PERP")]
        answers = await submission.run(batch, NOW, {})
        assert answers[:3] == [placed(2), placed(3), placed(4)]
        assert codes(answers) == [None, None, None, ErrorCode.INSUFFICIENT_MARGIN, None, None]
        assert answers[4:] == [placed(5), placed(2, "ETH-PERP")]


async def test_margin_sums_are_the_sums_over_live_orders(database: str) -> None:
    """For any accepted requests in any batches, to the micro."""
    async with submission_to(database) as submission, session_to(database) as session:
        users = [await user_with(session, 50_000 * USDC) for _ in range(3)]
        for number in range(40):
            side, price = (Side.BUY, 57_000 + 97 * number) if number % 3 else (Side.SELL, 58_000 + 131 * number)
            batch = [place(user, f"0.{number + 1:03d}", str(price), side, leverage=1 + number % 20) for user in users]
            await submission.run([*batch, place(users[0], "1.5", "2999.99", market="ETH-PERP")], NOW, {})
        sums = [tuple(row) for row in await session.fetch(FROM_THE_POSITION_ROW)]
        assert len(sums) == 4
        assert sums == [tuple(row) for row in await session.fetch(FROM_LIVE_ORDERS)]


async def test_a_repeated_client_id_finds_its_first_order(database: str) -> None:
    """In the same batch and in a later one; the present status is answered, and nothing is written again."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        bid = place(user, client_order_id="a1")
        respelled = place(user, "0.50", "60000.0", client_order_id="a1")
        assert await submission.run([bid, respelled], NOW, {}) == [placed(2), placed(2, is_replay=True)]
        await session.execute("UPDATE orders SET status = 'FILLED', is_live = false")
        await session.execute("UPDATE markets SET status = 'HALTED'")
        await session.execute("UPDATE accounts SET wallet = 0")
        [answer] = await submission.run([respelled], LATER, {})
        assert answer == Placed("BTC-PERP-2", "BTC-PERP:2", OrderStatus.FILLED, is_replay=True)
        assert len(await commands(session)) == 1


async def test_a_client_id_with_another_body_is_a_conflict(database: str) -> None:
    """In the same batch and in a later one; another user may use the same id."""
    async with submission_to(database) as submission, session_to(database) as session:
        user, other = await user_with(session, 10_000 * USDC), await user_with(session, 10_000 * USDC)
        changed = place(user, "0.4", client_order_id="a1")
        answers = await submission.run([place(user, client_order_id="a1"), changed], NOW, {})
        assert codes([*answers, *await submission.run([changed], NOW, {})]) == [
            None,
            ErrorCode.DUPLICATE_CLIENT_ORDER_ID,
            ErrorCode.DUPLICATE_CLIENT_ORDER_ID,
        ]
        assert await submission.run([place(other, "0.4", client_order_id="a1")], NOW, {}) == [placed(3)]


async def test_a_refused_order_leaves_its_client_id_free(database: str) -> None:
    """Also for the next request of the same batch."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        batch = [place(user, "100", client_order_id="a1"), place(user, "0.1", client_order_id="a1")]
        assert codes(await submission.run(batch, NOW, {})) == [ErrorCode.INSUFFICIENT_MARGIN, None]


async def test_a_timed_order_is_found_again_after_its_time(database: str) -> None:
    """The client id is looked up before the clock is."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        timed = place(user, client_order_id="a1", valid_until=datetime_of(NOW + 1))
        assert await submission.run([timed], NOW, {}) == [placed(2)]
        assert await submission.run([timed], LATER, {}) == [placed(2, is_replay=True)]


async def test_a_cancel_writes_its_command_and_leaves_status_and_margin_alone(database: str) -> None:
    """A cancel under way is only a time on the order; its status changes by events."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user)], NOW, {})
        sums = await session.fetch(FROM_THE_POSITION_ROW)
        answers = await submission.run([SubmitCancel(user, "BTC-PERP-2")], LATER, {})
        assert answers == [CancelPlaced("BTC-PERP-2", "BTC-PERP:3")]
        assert (await commands(session))[1] == CancelOrder(LATER, user, 2)
        row = await session.fetchrow(
            "SELECT status, is_live, cancel_requested_at = updated_at AS is_marked FROM orders"
        )
        assert tuple(row or ()) == ("PENDING", True, True)
        assert await session.fetch(FROM_THE_POSITION_ROW) == sums


async def test_a_second_cancel_is_refused_with_the_first_and_writes_nothing(database: str) -> None:
    """In the same batch and in a later one; the refusal names the command of the cancel, and the order's state."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user)], NOW, {})
        cancel = SubmitCancel(user, "BTC-PERP-2")
        answers = await submission.run([cancel, cancel], NOW, {}) + await submission.run([cancel], NOW, {})
        assert answers[0] == CancelPlaced("BTC-PERP-2", "BTC-PERP:3")
        state = {"reason": "CANCEL_PENDING", "status": "PENDING", "filledQuantity": "0", "commandId": "BTC-PERP:3"}
        for again in answers[1:]:
            assert isinstance(again, Refused)
            assert (again.code, again.details) == (ErrorCode.ORDER_NOT_OPEN, {"orderId": "BTC-PERP-2", **state})
        assert len(await commands(session)) == 2


async def test_an_order_that_is_not_ours_cannot_be_found(database: str) -> None:
    """Malformed, unknown and foreign ids answer alike."""
    strange = ["BTC-PERP-9", "BTC-PERP-02", "DOGE-PERP-2", "BTC-PERP", "x", "", "BTC-PERP-2'", "BTC-PERP-2\0"]
    async with submission_to(database) as submission, session_to(database) as session:
        owner, thief = await user_with(session, 10_000 * USDC), await user_with(session, 10_000 * USDC)
        await submission.run([place(owner)], NOW, {})
        cancels = [SubmitCancel(thief, "BTC-PERP-2"), *(SubmitCancel(owner, order_id) for order_id in strange)]
        assert set(codes(await submission.run(cancels, NOW, {}))) == {ErrorCode.ORDER_NOT_FOUND}
        assert len(await commands(session)) == 1


async def test_an_order_that_has_ended_is_not_open(database: str) -> None:
    """409, not 404: its owner may know."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user)], NOW, {})
        await session.execute("UPDATE orders SET status = 'FILLED', is_live = false, filled_lots = 100")
        [ended] = await submission.run([SubmitCancel(user, "BTC-PERP-2")], NOW, {})
        assert isinstance(ended, Refused)
        state = {"reason": "ENDED", "status": "FILLED", "filledQuantity": "0.1"}
        assert (ended.code, ended.details) == (ErrorCode.ORDER_NOT_OPEN, {"orderId": "BTC-PERP-2", **state})


async def test_cancels_of_a_batch_go_first_into_the_log(database: str) -> None:
    """Cancels do not wait for new orders; answers keep the places of their requests."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user)], NOW, {})
        answers = await submission.run([place(user), SubmitCancel(user, "BTC-PERP-2"), place(user)], NOW, {})
        assert answers == [placed(4), CancelPlaced("BTC-PERP-2", "BTC-PERP:3"), placed(5)]
        assert [type(command).__name__ for command in await commands(session)] == [
            "PlaceOrder",
            "CancelOrder",
            "PlaceOrder",
            "PlaceOrder",
        ]


async def test_a_cancel_all_is_one_command_for_each_market(database: str) -> None:
    """All live orders of the account there, oldest first, also one whose cancel is under way; no order of anyone else."""
    async with submission_to(database) as submission, session_to(database) as session:
        alice, bob = [await user_with(session, 100_000 * USDC) for _ in range(2)]
        ether = place(alice, "1", "3000", market="ETH-PERP")
        await submission.run([place(alice), place(bob), place(alice, side=Side.SELL, price="61000"), ether], NOW, {})
        await submission.run([SubmitCancel(alice, "BTC-PERP-2")], NOW, {})
        [answer] = await submission.run([SubmitCancelAll(alice)], LATER, {})
        assert answer == Answers(
            (
                CancelPlaced("BTC-PERP-2", "BTC-PERP:5"),
                CancelPlaced("BTC-PERP-4", "BTC-PERP:6"),
                CancelPlaced("ETH-PERP-2", "ETH-PERP:3"),
            )
        )
        assert (await commands(session))[-1] == CancelOrders(LATER, alice, (2, 4))
        assert (await commands(session, 2))[-1] == CancelOrders(LATER, alice, (2,))
        rows = await session.fetch("SELECT cancel_seq FROM orders WHERE market_id = 1 ORDER BY order_id")
        assert [row["cancel_seq"] for row in rows] == [5, None, 6]


async def test_a_cancel_all_of_one_side_or_market_leaves_the_others(database: str) -> None:
    """First the sells of one market, then that market; asked once more it names the same commands and writes none."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 100_000 * USDC)
        ether = place(user, "1", "3000", market="ETH-PERP")
        await submission.run([place(user), place(user, side=Side.SELL, price="61000"), ether], NOW, {})
        [sells] = await submission.run([SubmitCancelAll(user, "BTC-PERP", Side.SELL)], NOW, {})
        assert sells == Answers((CancelPlaced("BTC-PERP-3", "BTC-PERP:4"),))
        asked = [SubmitCancelAll(user, "BTC-PERP"), SubmitCancelAll(user, "BTC-PERP"), SubmitCancel(user, "BTC-PERP-2")]
        first, second, single = await submission.run(asked, NOW, {})
        assert (
            first
            == second
            == Answers((CancelPlaced("BTC-PERP-2", "BTC-PERP:5"), CancelPlaced("BTC-PERP-3", "BTC-PERP:4")))
        )
        assert isinstance(single, Refused)
        assert (single.code, (single.details or {})["commandId"]) == (ErrorCode.ORDER_NOT_OPEN, "BTC-PERP:5")
        assert len(await commands(session)) == 4
        [unknown] = await submission.run([SubmitCancelAll(user, "DOGE-PERP")], NOW, {})
        assert isinstance(unknown, Refused)
        assert unknown.code is ErrorCode.MARKET_NOT_FOUND


async def test_a_market_of_older_rules_gets_a_cancel_for_each_order(database: str) -> None:
    """It does not know the command for several; the answers are the same."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 100_000 * USDC)
        await session.execute("UPDATE markets SET rules = 3 WHERE market_id = 1")
        await submission.run([place(user), place(user)], NOW, {})
        [answer] = await submission.run([SubmitCancelAll(user)], NOW, {})
        assert answer == Answers((CancelPlaced("BTC-PERP-2", "BTC-PERP:4"), CancelPlaced("BTC-PERP-3", "BTC-PERP:5")))
        assert (await commands(session))[2:] == [CancelOrder(NOW, user, 2), CancelOrder(NOW, user, 3)]


async def test_the_cancels_of_a_cancel_all_are_pending_until_they_are_done(database: str) -> None:
    """Their orders keep their margin, and a refusal for the margin says how many they are."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user, "1"), place(user, "1")], NOW, {})
        _, refused = await submission.run([SubmitCancelAll(user), place(user, "3")], NOW, {})
        assert isinstance(refused, Refused)
        assert (refused.details or {})["pendingCancels"] == 2


async def test_a_poisoned_request_does_not_fail_the_others(database: str) -> None:
    """What the database itself refuses (a NUL in a text) fails alone."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        batch = [place(user), place(user, client_order_id="a\0b"), place(user), place(user, "100")]
        answers = await submission.run(batch, NOW, {})
        assert codes(answers) == [None, ErrorCode.INTERNAL_ERROR, None, ErrorCode.INSUFFICIENT_MARGIN]
        assert [answers[0], answers[2]] == [placed(2), placed(3)]
        assert len(await commands(session)) == 2


async def test_a_group_is_numbered_without_a_gap_in_each_market(database: str) -> None:
    """A cancel first, then in their order: one of bob, the five of alice's group, one of bob. Nobody is within the five."""
    async with submission_to(database) as submission, session_to(database) as session:
        alice, bob = [await user_with(session, 100_000 * USDC) for _ in range(2)]
        await submission.run([place(bob)], NOW, {})
        ether = order("1", "3000", market="ETH-PERP")
        group = SubmitGroup(
            alice, (order(client_order_id="a"), ether, order("500"), order(), ether, order(client_order_id="a"))
        )
        answers = await submission.run([place(bob), group, SubmitCancel(bob, "BTC-PERP-2"), place(bob)], NOW, {})
        assert (answers[0], answers[3]) == (placed(4), placed(7))
        assert isinstance(answers[1], Answers)
        outcomes = answers[1].outcomes
        assert codes(list(outcomes)) == [None, None, ErrorCode.INSUFFICIENT_MARGIN, None, None, None]
        assert [each for each in outcomes if isinstance(each, Placed)] == [
            placed(5),
            placed(2, "ETH-PERP"),
            placed(6),
            placed(3, "ETH-PERP"),
            placed(5, is_replay=True),
        ]
        users = [command.user for command in await commands(session)]
        assert users == [bob, bob, bob, alice, alice, bob]


async def test_a_group_that_the_database_rejects_fails_whole_and_alone(database: str) -> None:
    """A NUL in one of its client ids: nothing of the group is stored, and the others of its batch are."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        group = SubmitGroup(user, (order("0.1"), order("0.1", client_order_id="a\0b")))
        whole = SubmitGroup(user, (order("0.1"), order("0.1")))
        answers = await submission.run([place(user, "0.1"), group, whole, place(user, "0.1")], NOW, {})
        assert codes(answers) == [None, ErrorCode.INTERNAL_ERROR, None, None]
        assert answers[2:] == [Answers((placed(3), placed(4))), placed(5)]
        assert len(await commands(session)) == 4


async def test_an_overloaded_market_accepts_cancels_and_reducing_orders(database: str) -> None:
    """Past 20,000 commands or 10 s new risk is refused; the other market continues."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await hold(session, user, 1, lots=1_000, cost=60_000 * USDC)
        await submission.run([place(user)], NOW, {})
        batch = [
            place(user),
            place(user, "1", side=Side.SELL),
            place(user, "1", "3000", market="ETH-PERP"),
            SubmitCancel(user, "BTC-PERP-2"),
        ]
        for load in (MarketLoad(20_001, 0.0), MarketLoad(1, 10.1)):
            assert codes(await submission.run(batch[:3], NOW, {"BTC-PERP": load})) == [ErrorCode.OVERLOADED, None, None]
            await session.execute("UPDATE positions SET sell_lots = 0 WHERE market_id = 1")
        assert codes(await submission.run(batch[3:], NOW, {"BTC-PERP": load})) == [None]


async def test_an_account_that_is_liquidated_may_only_reduce(database: str) -> None:
    """In any market, with any margin; cancels are accepted. When the liquidation is over it trades again."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 100_000 * USDC)
        await hold(session, user, 1, lots=500, cost=30_000 * USDC)
        await submission.run([place(user)], NOW, {})
        await session.execute("UPDATE accounts SET liquidation_id = 1 WHERE user_id = $1", user)
        batch = [
            place(user),
            place(user, "1", "3000", market="ETH-PERP"),
            place(user, "0.5", side=Side.SELL),
            place(user, "0.001", side=Side.SELL),
            SubmitCancel(user, "BTC-PERP-2"),
        ]
        refused = ErrorCode.MARKET_NOT_ACTIVE
        answers = await submission.run(batch, NOW, {})
        assert codes(answers) == [refused, refused, None, refused, None]
        assert isinstance(answers[0], Refused)
        assert answers[0].details == {"reason": "LIQUIDATION"}
        await session.execute("UPDATE accounts SET liquidation_id = NULL WHERE user_id = $1", user)
        assert codes(await submission.run(batch[:2], NOW, {})) == [None, None]


async def test_a_position_with_a_frozen_mark_binds_its_holder_in_every_market(database: str) -> None:
    """They may only reduce; an account without a position there trades elsewhere as before."""
    async with submission_to(database) as submission, session_to(database) as session:
        holder, other = await user_with(session, 100_000 * USDC), await user_with(session, 100_000 * USDC)
        await hold(session, holder, 1, lots=500, cost=30_000 * USDC)
        await hold(session, holder, 2, lots=100, cost=3_000 * USDC)
        await session.execute("UPDATE markets SET is_frozen = true, status = 'CANCEL_ONLY' WHERE market_id = 1")
        ether = [
            place(holder, "1", "3000", market="ETH-PERP"),
            place(holder, "1", "3000", market="ETH-PERP", side=Side.SELL),
            place(other, "1", "3000", market="ETH-PERP"),
        ]
        answers = await submission.run(ether, NOW, {})
        assert codes(answers) == [ErrorCode.MARKET_NOT_ACTIVE, None, None]
        assert isinstance(answers[0], Refused)
        assert answers[0].details == {"marketId": "BTC-PERP", "reason": "MARK_FROZEN"}
        assert codes(await submission.run([place(other)], NOW, {})) == [ErrorCode.MARKET_NOT_ACTIVE]


async def test_an_old_mark_allows_reducing_orders_only(database: str) -> None:
    """A mark older than 10 s, where there are price sources, is as bad as a projection that lags."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await hold(session, user, 1, lots=1_000, cost=60_000 * USDC)
        load = {"BTC-PERP": MarketLoad(0, 0.0, mark_age_s=10.1)}
        batch = [place(user), place(user, "1", side=Side.SELL)]
        assert codes(await submission.run(batch, NOW, load)) == [ErrorCode.OVERLOADED, None]


async def test_a_market_listed_since_is_learnt(database: str) -> None:
    """No restart: the batch that meets it reads the markets again."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await list_market(session, replace(SEED_MARKETS[1], market="SOL-PERP", base_asset="SOL"), NOW)
        assert await submission.run([place(user, "1", "3000", market="SOL-PERP")], NOW, {}) == [placed(2, "SOL-PERP")]


async def test_a_user_without_account_is_refused_as_unknown(database: str) -> None:
    """A token outlives its user when a database is made again; nothing is stored for that user."""
    async with submission_to(database) as submission:
        assert codes(await submission.run([place(4_711)], NOW, {})) == [ErrorCode.UNAUTHENTICATED]


async def test_a_batch_is_bounded(database: str) -> None:
    """256 go, 257 are a mistake of the caller."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        answers = await submission.run([place(user, "0.001") for _ in range(BATCH_MAX)], NOW, {})
        assert answers == [placed(number) for number in range(2, 2 + BATCH_MAX)]
        with pytest.raises(ValueError, match="257"):
            await submission.run([place(user, "0.001") for _ in range(BATCH_MAX + 1)], NOW, {})
        with pytest.raises(ValueError, match="257"):
            await submission.run([SubmitOrder(user, order()), SubmitGroup(user, (order(),) * BATCH_MAX)], NOW, {})
