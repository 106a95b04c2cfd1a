"""The independent recomputation agrees with an exchange where everything has happened, and with no other."""

from collections.abc import AsyncIterator

import pytest_asyncio

from schemas.commands import AdvanceClock, SetStatus
from schemas.market import MarketStatus
from schemas.orders import Side, TimeInForce
from schemas.units import Timestamp
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from tests.store.liquidation_scene import ETH, Scene, scene_on
from tests.store.projection_builders import NOON, seeded

HOUR_US = 3_600_000_000
CORRUPTIONS = {
    "a position after a fill": "UPDATE fills SET position_after = position_after + 1 WHERE (trade_id, role) = (2, 'TAKER')",
    "a fee one micro higher": "UPDATE fills SET fee = fee + 1 WHERE trade_id = 1 AND role = 'TAKER' AND market_id = 1",
    "a profit one micro lower": "UPDATE fills SET realized = realized - 1 WHERE trade_id = 3 AND role = 'MAKER'",
    "a wallet one micro higher": "UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 1",
    "a position one lot larger": "UPDATE positions SET lots = lots + 1 WHERE user_id = 2 AND market_id = 1",
    "a cost one micro higher": "UPDATE positions SET cost = cost + 1 WHERE user_id = 2 AND market_id = 1",
    "another realized": "UPDATE positions SET realized = realized + 1 WHERE user_id = 2 AND market_id = 1",
    "another age": "UPDATE positions SET opened_seq = opened_seq + 1 WHERE user_id = 2 AND market_id = 1",
    "a notional one micro higher": "UPDATE fills SET notional = notional + 1 WHERE trade_id = 1 AND market_id = 1",
    "another funding rate": "UPDATE fundings SET rate = rate + 1",
    "another premium": "UPDATE premiums SET premium = premium + 1",
    "a payment one micro higher": "UPDATE funding_payments SET amount = amount + 1",
    "a payment lost": "DELETE FROM funding_payments WHERE user_id = 1",
    "another residue": "UPDATE fundings SET residue = residue + 1",
    "a settlement one micro off": "UPDATE settlements SET realized = realized + 1",
    "a liquidation fee beyond its rate": "UPDATE ledger SET amount = amount * 2 WHERE type = 'LIQUIDATION_FEE'",
    "a deposit one micro higher": "UPDATE ledger SET amount = amount + 1 WHERE type = 'DEPOSIT' AND account = 1",
}


@pytest_asyncio.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    """A day on which everything happens: trades, funding, steps, take-over, deleveraging, credit, the end of a market."""
    async with scene_on(database) as opened:
        await live_through(opened)
        yield opened


async def live_through(scene: Scene) -> None:
    """Five users trade at random in two markets, are funded, and two of them go under; then one market ends."""
    chance = seeded(5)
    rich = [await scene.user("1000000") for _ in range(3)]
    ann, bea = await scene.user("3012"), await scene.user("6024")
    for _ in range(25):
        buyer, seller = chance.sample(rich, 2)
        await scene.trade(buyer, seller, chance.randint(1, 700), 60_000 + chance.randint(-50, 50) / 10)
        await scene.trade(seller, buyer, chance.randint(1, 700), 3_000 + chance.randint(-50, 50) / 100, market=ETH)
    await scene.order(rich[0], Side.BUY, 300, 60_010)
    for lots in (7, 11, 13):  # one order filled in parts: its fee is cumulative
        await scene.order(rich[1], Side.SELL, lots, 60_010, time_in_force=TimeInForce.IOC)
    await scene.trade(ann, rich[0], 1_000, 60_000)
    await scene.trade(bea, rich[1], 2_000, 60_000)
    for market, price in (("BTC-PERP", 60_000), (ETH, 3_000)):  # premiums of both signs
        for minute in (1, 2, 60, 239):
            await scene.send(AdvanceClock(Timestamp(NOON + minute * 60_000_000)), market)
        await scene.order(rich[2], Side.SELL, 90_000, price * 1.001, market)
        await scene.order(rich[0], Side.BUY, 90_000, price * 0.98, market)
        await scene.send(AdvanceClock(Timestamp(NOON + 239 * 60_000_000 + 1_000)), market)
        await scene.send(AdvanceClock(Timestamp(NOON + 4 * HOUR_US)), market)
    scene.now = Timestamp(NOON + 4 * HOUR_US)
    await scene.index(57_280)
    await scene.order(rich[2], Side.BUY, 500, 57_250)
    await scene.look(5)
    await scene.drain_fund(10)
    await scene.index(53_000)
    await scene.look(12)
    await scene.send(SetStatus(scene.now, MarketStatus.SETTLEMENT_ONLY), ETH)
    await scene.send(SetStatus(scene.now, MarketStatus.SETTLED), ETH)
    await scene.look(12)


async def test_a_day_on_which_everything_happens_agrees_to_the_micro(scene: Scene) -> None:
    """And it did happen."""
    causes = await scene.session.fetch("SELECT DISTINCT cause FROM fills")
    assert {row["cause"] for row in causes} >= {"TRADE", "LIQUIDATION", "ADL"}
    for table in ("funding_payments", "settlements", "premiums"):
        assert await scene.session.fetchval(f"SELECT count(*) FROM {table}") > 0
    assert await scene.session.fetchval("SELECT count(*) FROM ledger WHERE type = 'LIQUIDATION_FEE'") > 0
    assert await audit(scene.session) == []
    assert await deep_audit(scene.session) == []


async def test_every_micro_that_is_moved_is_found(scene: Scene) -> None:
    """Each row changed by one is found by the recomputation."""
    silent = []
    for corruption, statement in CORRUPTIONS.items():
        transaction = scene.session.transaction(isolation="repeatable_read")
        await transaction.start()
        status = await scene.session.execute(statement)
        assert not status.endswith(" 0"), f"{corruption} touches no row"
        if not await deep_audit(scene.session):
            silent.append(corruption)
        await transaction.rollback()
    assert silent == []
