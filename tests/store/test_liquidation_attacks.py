"""Attacks on a liquidation, each with its numbers; and a liquidation killed at every statement."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from schemas.orders import Side, TimeInForce
from schemas.refusals import ErrorCode, Refused
from schemas.rest.transfers import WithdrawalRequest
from schemas.units import Timestamp
from store.money.withdrawals import withdraw
from store.submission import Placed
from tests.store.account_builder import place, submission_to
from tests.store.liquidation_scene import BTC, ETH, LOOK_US, USDC, Scene, new_liquidator, scene_on
from tests.store.projection_builders import an_order, seeded


async def test_a_drip_of_one_lot_does_not_put_the_take_over_off(database: str) -> None:
    """At 57,100 an accomplice bids for one lot before each step: the first step fills it, the take-over follows at once."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_100)
        await scene.order(bob, Side.BUY, 1, 57_050)
        await scene.look(2)
        await scene.order(bob, Side.BUY, 1, 57_050)
        await scene.look(3)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "TAKE_OVER", "RELEASE"]
        [(_, outcome)] = await scene.receipts(ann, "LIQUIDATION")
        assert outcome is not None
        assert outcome["quantity"] == 1
        [(_, taken)] = await scene.receipts(ann, "TAKE_OVER")
        assert taken is not None
        assert taken["quantity"] == 999


async def test_an_own_quote_does_not_block_a_liquidation(database: str) -> None:
    """Ann's own bid of 57,280 is cancelled before the step meets the real one after it at 57,200."""
    async with scene_on(database) as scene:
        ann, bob, carl = await scene.user("3012"), await scene.user("9000"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_286.4)
        own = await scene.order(ann, Side.BUY, 1_000, 57_280)
        await scene.order(carl, Side.BUY, 1_000, 57_200)
        await scene.look(3)
        status = "SELECT reason FROM orders WHERE user_id = $1 AND price = 572800"
        assert await scene.session.fetchval(status, ann) == "LIQUIDATION"
        assert own
        assert (await scene.position(ann), await scene.position(carl)) == ((0, 0), (1_000, 57_200 * USDC))


async def test_orders_that_could_ruin_their_account_are_cancelled_the_worst_first(database: str) -> None:
    """Equity 600 over maintenance 285: orders that would lose 400, 100 and nothing; the first one goes."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        losing = await scene.order(ann, Side.BUY, 100, 57_000, loss_per_lot=4 * USDC)
        small = await scene.order(ann, Side.BUY, 100, 57_000, loss_per_lot=1 * USDC)
        none = await scene.order(ann, Side.BUY, 100, 56_000)
        await scene.index(57_600)
        await scene.look(2)
        query = "SELECT order_id & 1099511627775 AS number, status, reason FROM orders WHERE user_id = $1 AND price < 600000"
        rows = {row["number"]: (row["status"], row["reason"]) for row in await scene.session.fetch(query, ann)}
        assert rows == {losing: ("CANCELLED", "MARGIN"), small: ("OPEN", None), none: ("OPEN", None)}
        assert await scene.actions(ann) == ["CANCEL_ORDERS"]
        [(inputs, _)] = await scene.receipts(ann, "CANCEL_ORDERS")
        assert (inputs["openLoss"], inputs["orders"], inputs["reason"]) == ("500", [losing], "MARGIN")


async def test_a_margin_call_is_one_receipt_and_ends_above_the_border(database: str) -> None:
    """1.25 x maintenance: at 57,350 equity 350 is below 358.44; at 57,500 it is 500 over 359.38."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_350)
        await scene.look(12)
        assert await scene.actions(ann) == ["MARGIN_CALL"]
        ended = "SELECT count(*) FROM liquidations WHERE ended_at IS NOT NULL"
        assert await scene.session.fetchval(ended) == 0
        await scene.index(57_500)
        await scene.look()
        assert await scene.session.fetchval(ended) == 1
        await scene.index(57_350)
        await scene.look()
        assert await scene.actions(ann) == ["MARGIN_CALL", "MARGIN_CALL"]


async def test_a_withdrawal_racing_the_liquidation_takes_nothing(database: str) -> None:
    """From the flag on nothing leaves, whichever comes first to the account's lock."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_286)
        other = await asyncpg.connect(database)
        now = Timestamp(scene.now + 1)
        answer, _ = await asyncio.gather(
            withdraw(other, ann, WithdrawalRequest("USDC", "1"), None, now),
            scene.liquidator.look(scene.session, now),
        )
        assert isinstance(answer, Refused)
        assert answer.code is ErrorCode.INSUFFICIENT_BALANCE
        assert await scene.is_flagged(ann)
        again = await withdraw(other, ann, WithdrawalRequest("USDC", "1"), None, now)
        assert isinstance(again, Refused)
        await other.close()


async def test_a_fill_on_its_way_makes_the_take_over_stale_and_it_is_read_again(database: str) -> None:
    """Ann's reducing order fills between our reading and the engine's turn: nothing is done, then the rest is taken."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_100)
        await scene.look()  # flagged, a step that fills nothing
        await scene.order(bob, Side.BUY, 10, 57_100)
        reducing = an_order(ann, Side.SELL, 10, 571_000, reduce_only=True, time_in_force=TimeInForce.IOC)
        await scene.exchange.submit(BTC, reducing)  # accepted, not matched
        await scene.look(4)
        outcomes = [outcome for _, outcome in await scene.receipts(ann, "TAKE_OVER")]
        assert [outcome and (outcome["isStale"], outcome["quantity"]) for outcome in outcomes] == [
            (True, 0),
            (False, 990),
        ]
        assert await scene.wallet(ann) == 0


async def test_nobody_can_keep_a_take_over_stale_forever(database: str) -> None:
    """Once the take-over is ordered the account places no order; before that its orders only reduce, in the engine as well."""
    async with scene_on(database) as scene, submission_to(database) as submission:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_250)  # equity 250 is above two thirds of 286.25
        await scene.look()
        selling = place(ann, "0.01", "57250", Side.SELL)
        (answer,) = await submission.run([selling], scene.now, {})
        assert isinstance(answer, Placed)
        assert await scene.session.fetchval("SELECT reduce_only FROM orders WHERE price = 572500")
        await scene.exchange.settle()
        await scene.index(57_100)
        scene.now = Timestamp(scene.now + LOOK_US)
        await scene.liquidator.look(scene.session, scene.now)  # the take-over is ordered, not matched
        (refused,) = await submission.run([selling], scene.now, {})
        assert isinstance(refused, Refused)
        assert refused.code is ErrorCode.INSUFFICIENT_MARGIN
        await scene.look(3)
        assert (await scene.position(-3))[0] == 1_000
        assert await scene.session.fetchval("SELECT count(*) FROM orders WHERE is_live AND user_id = $1", ann) == 0
        assert not await scene.is_flagged(ann)


async def test_an_account_with_a_frozen_mark_is_left_alone(database: str) -> None:
    """Its position cannot be valued: no margin call and no step until the mark is live again."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_000)
        await scene.session.execute("UPDATE markets SET is_frozen = true WHERE name = $1", BTC)
        await scene.look(8)
        assert await scene.actions(ann) == []
        await scene.session.execute("UPDATE markets SET is_frozen = false WHERE name = $1", BTC)
        await scene.look(6)
        assert await scene.position(ann) == (0, 0)


class Killed(Exception):
    """The process is gone."""


class Mortal:
    """A session that dies permanently before its n-th statement."""

    def __init__(self, session: asyncpg.Connection, statements: int) -> None:  # type: ignore[type-arg]
        self._session, self._left = session, statements

    def __getattr__(self, name: str) -> Any:
        if name not in {"execute", "fetch", "fetchrow", "fetchval"}:
            return getattr(self._session, name)

        async def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                self._session.terminate()
                raise Killed
            return await getattr(self._session, name)(*arguments)

        return call


async def play(scene: Scene, chance: random.Random | None) -> dict[str, object]:
    """A liquidation in two markets with live orders and a fund that is too small; what is left of it."""
    ann, bob = await scene.user("6024"), await scene.user("30000")
    await scene.trade(ann, bob, 1_000, 60_000)
    await scene.trade(ann, bob, 2_000, 3_000, market=ETH)
    await scene.order(ann, Side.BUY, 100, 55_000)
    await scene.order(ann, Side.BUY, 100, 2_500, market=ETH)
    await scene.drain_fund(20)
    await scene.index(56_700)
    await scene.index(2_840, market=ETH)
    for _ in range(8 if chance is None else 40):
        if chance is None:
            await scene.look()
        else:
            await look_and_die(scene, chance.randint(1, 45))
    steps = [action for action in await scene.actions(ann) if action not in {"MARGIN_CALL", "CANCEL_ORDERS"}]
    return {
        "steps": steps,
        "ann": (await scene.wallet(ann), await scene.position(ann), await scene.position(ann, 2)),
        "bob": (await scene.wallet(bob), await scene.position(bob), await scene.position(bob, 2)),
        "fund": (await scene.fund(), await scene.position(-3), await scene.position(-3, 2)),
        "live": await scene.session.fetchval("SELECT count(*) FROM orders WHERE is_live"),
        "flagged": await scene.is_flagged(ann),
    }


async def look_and_die(scene: Scene, statements: int) -> None:
    """One look of a new process, killed before its n-th statement."""
    dying = await asyncpg.connect(scene.exchange.dsn)
    scene.liquidator = new_liquidator(scene.exchange.dsn)
    try:
        await scene.look(session=Mortal(dying, statements))
    except (Killed, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError):
        await scene.exchange.settle()
    finally:
        dying.terminate()


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
async def test_a_liquidator_killed_again_and_again_ends_where_an_undisturbed_one_does(
    database: str, seed: int | None
) -> None:
    """kill -9 before any statement, repeatedly: the same actions, each once, and the same money.

    Ann owes 500 for long 1 BTC and 20 ETH, 250.220265 of it for ETH. The fund's 20 carry 1.59 ETH at 57,050.220265 x 159 /
    2,000; Bob, who has the other side, carries the rest, and keeps a short of 1.59 ETH from 3,000.
    """
    async with scene_on(database) as scene:
        end = await play(scene, None if seed is None else seeded(seed))
    assert end == {
        "steps": ["LIQUIDATION", "TAKE_OVER", "ADL", "ADL", "RELEASE"],
        "ann": (0, (0, 0), (0, 0)),
        "bob": (35_940 * USDC - (4_770 * USDC - 4_535_492_511), (0, 0), (-159, -4_770 * USDC)),
        "fund": (20 * USDC, (0, 0), (159, 4_535_492_511)),
        "live": 0,
        "flagged": False,
    }
