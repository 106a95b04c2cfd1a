"""Disturbances of a running liquidation: rivals, wild or dead price sources, the user's own actions and money."""

import asyncio
import random
from collections import Counter

import pytest

from schemas.commands import AdvanceClock, ReportPrice, SetPriceSources
from schemas.market import PriceSource
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.rest.transfers import DepositRequest, WithdrawalRequest
from schemas.units import Nanos, Timestamp
from store.audit.audit import audit
from store.money.deposits import deposit
from store.money.withdrawals import withdraw
from store.session.connect import connect_writer
from store.submission import Placed, SubmitOrder
from tests.store.account_builder import submission_to
from tests.store.liquidation_scene import BTC, USDC, Scene, new_liquidator, scene_on

SECOND_US = 1_000_000
_TWICE = """
SELECT liquidation_id, action, market_id, command_seq FROM liquidation_steps WHERE command_seq IS NOT NULL
GROUP BY 1, 2, 3, 4 HAVING count(*) > 1
"""
_OPEN_STEPS = """
SELECT liquidation_id FROM liquidation_steps WHERE done_at IS NULL AND action <> 'CANCEL_ORDERS'
GROUP BY liquidation_id HAVING count(*) > 1
"""


class Sources:
    """Three price sources of weight 1 with quorum 2, each fresh for two seconds."""

    def __init__(self, scene: Scene, *names: str, quorum: int = 2) -> None:
        self._scene, self._names, self._quorum = scene, names, quorum

    async def begin(self, price: float) -> None:
        """The market has an index of these sources from now on."""
        sources = tuple(PriceSource(name, 1, 2_000) for name in self._names)
        await self._scene.send(SetPriceSources(self._scene.now, sources, self._quorum))
        await self.report(*[price] * len(self._names))

    async def report(self, *prices: float | None) -> None:
        """A second passes, the clock ticks, each source reports its price; None is silent."""
        scene = self._scene
        scene.now = Timestamp(scene.now + SECOND_US)
        await scene.send(AdvanceClock(scene.now))
        for name, price in zip(self._names, prices, strict=True):
            if price is not None:
                await scene.send(ReportPrice(scene.now, name, Nanos(round(price * 10**9)), scene.now))


@pytest.mark.parametrize("spike", [1.5, 0.5])
async def test_one_source_that_jumps_by_half_liquidates_nobody(database: str, spike: float) -> None:
    """For a second one of three says +-50 %: the median does not move, no account is even called for margin."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3100"), await scene.user("3100")
        await scene.trade(ann, bob, 1_000, 60_000)
        feed = Sources(scene, "north", "south", "west")
        await feed.begin(60_000)
        await feed.report(60_000 * spike, 60_000, 60_000)
        await scene.look(3)
        await feed.report(60_000, 60_000, 60_000)
        await scene.look(3)
        assert await scene.actions(ann) == await scene.actions(bob) == []


@pytest.mark.parametrize("spike", [1.5, 0.5])
async def test_the_only_source_that_jumps_by_half_leaves_sound_books(database: str, spike: float) -> None:
    """A market with one source is liquidated by it; every liquidation is completed, and nobody is left below zero."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3100"), await scene.user("3100")
        await scene.trade(ann, bob, 1_000, 60_000)
        feed = Sources(scene, "north", quorum=1)
        await feed.begin(60_000)
        await feed.report(60_000 * spike)
        await scene.look(4)
        await feed.report(60_000)
        await scene.look(12)
        loser = ann if spike < 1 else bob
        assert await scene.position(loser) == (0, 0)
        assert await scene.wallet(loser) == 0
        assert not await scene.is_flagged(loser)


async def test_sources_that_die_in_mid_liquidation_freeze_it_until_they_are_back(database: str) -> None:
    """Below quorum no step is taken and the account stays flagged; with the next prices the liquidation continues."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3030"), await scene.user("90000")
        await scene.trade(ann, bob, 1_000, 60_000)
        feed = Sources(scene, "north", "south", "west")
        await feed.begin(57_240)
        await scene.look(1)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION"]
        for _ in range(4):
            await feed.report(None, None, None)
        assert await scene.session.fetchval("SELECT is_frozen FROM markets WHERE market_id = 1")
        await scene.look(20)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION"]
        assert await scene.is_flagged(ann)
        refused = await withdraw(scene.session, ann, WithdrawalRequest("USDC", "1"), None, scene.now)
        assert isinstance(refused, Refused)
        await feed.report(56_900, 56_900, 56_900)
        await scene.look(8)
        assert (await scene.actions(ann))[3:] == ["TAKE_OVER", "RELEASE"]


async def test_a_step_ordered_before_the_freeze_comes_to_nothing_and_is_tried_again(database: str) -> None:
    """The command is in the log when the mark freezes before it: the engine does nothing, nothing is lost."""
    async with scene_on(database) as scene:
        ann, bob, carl = await scene.user("3030"), await scene.user("90000"), await scene.user("90000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.order(ann, Side.SELL, 1, 70_000)
        feed = Sources(scene, "north", "south", "west")
        await feed.begin(57_200)
        await scene.look(1)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS"]
        await scene.order(carl, Side.BUY, 1_000, 57_150)
        scene.now = Timestamp(scene.now + 10 * SECOND_US)
        await scene.exchange.submit(BTC, AdvanceClock(scene.now))  # freezes; not matched yet
        await scene.liquidator.look(scene.session, scene.now)
        await scene.exchange.settle()
        [(_, outcome)] = await scene.receipts(ann, "LIQUIDATION")
        assert outcome is not None
        assert outcome["quantity"] == 0
        await feed.report(57_200, 57_200, 57_200)
        scene.now = Timestamp(scene.now + 2 * SECOND_US)
        await scene.look(4)
        assert await scene.position(ann) == (0, 0)
        assert (await scene.actions(ann))[-1] == "RELEASE"


async def test_a_deposit_during_the_liquidation_releases_the_account(database: str) -> None:
    """Equity 258 below maintenance 286.2: 1,000 more and the account is released with its position."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3030"), await scene.user("90000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_240)
        await scene.look(1)
        assert await scene.is_flagged(ann)
        await deposit(scene.session, ann, DepositRequest("USDC", "1000"), None, scene.now)
        await scene.look(3)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "RELEASE"]
        assert await scene.position(ann) == (1_000, 60_000 * USDC)
        assert not await scene.is_flagged(ann)


async def test_a_liquidated_account_may_reduce_and_nothing_else(database: str) -> None:
    """An opening order, one on the other side that is too large and a withdrawal are refused; a reducing one is accepted."""
    async with scene_on(database) as scene, submission_to(database) as submission:
        ann, bob = await scene.user("3030"), await scene.user("90000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_240)
        await scene.look(1)
        wishes = [
            (Side.BUY, "0.001"),
            (Side.SELL, "1.001"),
            (Side.SELL, "0.4"),
            (Side.SELL, "0.601"),
            (Side.SELL, "0.6"),
        ]
        requests = [
            SubmitOrder(ann, OrderRequest(BTC, side, OrderType.LIMIT, quantity, "57240")) for side, quantity in wishes
        ]
        answers = await submission.run(requests, scene.now, {})
        codes = [answer.code if isinstance(answer, Refused) else "taken" for answer in answers]
        no = ErrorCode.INSUFFICIENT_MARGIN
        assert codes == [no, no, "taken", no, "taken"]
        await scene.exchange.settle()
        await scene.index(56_900)
        await scene.look(12)
        assert await scene.position(ann) == (0, 0)
        assert await scene.session.fetchval("SELECT count(*) FROM orders WHERE user_id = $1 AND is_live", ann) == 0


async def test_two_liquidators_at_once_do_everything_once(database: str) -> None:
    """Without the advisory lock, on two sessions at once: no step is taken twice, none together with another one."""
    async with scene_on(database) as scene:
        users = [await scene.user("3100") for _ in range(6)]
        rich = await scene.user("900000")
        await scene.drain_fund(1_500)
        for user in users:
            await scene.trade(user, rich, 1_000, 60_000)
        rival, other = new_liquidator(database), await connect_writer(database, "rival")
        dice = random.Random(3)  # noqa: S311 - the same course every time
        try:
            for price in (57_200, 57_000, 56_600, 56_500):
                await scene.index(price)
                await scene.order(rich, Side.BUY, 200, price - 40)
                for _ in range(10):
                    scene.now = Timestamp(scene.now + 200_000 * dice.randint(1, 6))
                    looks = (scene.liquidator.look(scene.session, scene.now), rival.look(other, scene.now))
                    await asyncio.gather(*looks)
                    assert await scene.session.fetch(_OPEN_STEPS) == []
                    await scene.exchange.settle()
        finally:
            await other.close()
        assert await scene.session.fetch(_TWICE) == []
        for user in users:
            kinds = Counter(await scene.actions(user))
            assert kinds["CANCEL_ORDERS"] == kinds["RELEASE"] == kinds["MARGIN_CALL"] == 1
            assert await scene.position(user) == (0, 0)
            assert await scene.wallet(user) >= 0


async def test_withdrawals_racing_the_trigger_never_leave_less_than_the_margin(database: str) -> None:
    """Ten withdrawals and the liquidator at once, many times: what has left was free, and after the flag nothing leaves."""
    async with scene_on(database) as scene:
        rich = await scene.user("900000")
        for _ in range(5):
            ann = await scene.user("3600")
            await scene.trade(ann, rich, 1_000, 60_000)
            sessions = [await connect_writer(database, "withdrawer") for _ in range(4)]
            try:
                wish = WithdrawalRequest("USDC", "150")
                price = scene.index(56_690)
                outs = [withdraw(session, ann, wish, None, scene.now) for session in sessions]
                answers, _ = await asyncio.gather(asyncio.gather(*outs), price)
                await scene.look(1)
                assert await scene.is_flagged(ann)
                again = await asyncio.gather(*(withdraw(s, ann, wish, None, scene.now) for s in sessions))
                assert all(isinstance(answer, Refused) for answer in again)
            finally:
                for session in sessions:
                    await session.close()
            accepted = sum(not isinstance(answer, Refused) for answer in answers)
            assert await scene.wallet(ann) == (3_588 - 150 * accepted) * USDC
            assert accepted <= 3  # 588 were free at 60,000
            await scene.index(60_000)
            await scene.look(3)


async def test_orders_racing_the_trigger_never_exceed_the_position(database: str) -> None:
    """Ten reducing orders together with the flag: those before it are cancelled, those after it only reduce; the liquidation ends."""
    async with scene_on(database) as scene, submission_to(database) as submission:
        ann, rich = await scene.user("4600"), await scene.user("900000")
        await scene.trade(ann, rich, 1_000, 60_000)
        await scene.index(55_680)
        ask = SubmitOrder(ann, OrderRequest(BTC, Side.SELL, OrderType.LIMIT, "0.3", "55700"))
        scene.now = Timestamp(scene.now + 200_000)

        async def keep_on() -> None:
            for _ in range(10):
                await submission.run([ask], scene.now, {})

        assert isinstance((await submission.run([ask], scene.now, {}))[0], Placed)
        await asyncio.gather(keep_on(), scene.liquidator.look(scene.session, scene.now))
        await scene.exchange.settle()
        live = "SELECT coalesce(sum(remaining), 0) FROM orders WHERE user_id = $1 AND is_live"
        assert await scene.session.fetchval(live, ann) <= 1_000
        await scene.index(55_000)
        await scene.look(14)
        assert await scene.position(ann) == (0, 0)
        assert await scene.session.fetchval(live, ann) == 0
        assert not await scene.is_flagged(ann)


async def test_an_order_during_a_deleveraging_is_not_margined_with_the_position_it_removes(database: str) -> None:
    """Carl, short 1 and about to be deleveraged, bids for 3: with the short they need 5,700, without it 8,550 of 6,000."""
    async with scene_on(database) as scene, submission_to(database) as submission:
        ann, carl, rich = await scene.user("3042"), await scene.user("3042"), await scene.user("900000")
        await scene.trade(ann, carl, 1_000, 60_000)
        await scene.drain_fund(0)
        await scene.order(rich, Side.SELL, 3_000, 56_950)
        await scene.index(56_900)
        await scene.look(1)
        scene.now = Timestamp(scene.now + 200_000)
        await scene.liquidator.look(scene.session, scene.now)  # the deleveraging is in the log, not matched yet
        bid = SubmitOrder(carl, OrderRequest(BTC, Side.BUY, OrderType.LIMIT, "3", "56950"))
        [answer] = await submission.run([bid], scene.now, {})
        assert isinstance(await withdraw(scene.session, carl, WithdrawalRequest("USDC", "1"), None, scene.now), Refused)
        assert await audit(scene.session) == []
        await scene.exchange.settle()
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "ADL"]
        assert isinstance(answer, Refused)
        assert await scene.position(carl) == (0, 0)
        [again] = await submission.run([bid], scene.now, {})
        assert isinstance(again, Refused), "8,550 are more than the account has"
        await scene.look(1)
        small = SubmitOrder(carl, OrderRequest(BTC, Side.BUY, OrderType.LIMIT, "1", "56950"))
        assert isinstance((await submission.run([small], scene.now, {}))[0], Placed)
        await scene.exchange.settle()
