"""A crash in small: forty accounts in two markets, thin books and a fund that is too small; nothing may be left undone."""

import pytest

from schemas.orders import Side, TimeInForce
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from tests.store.liquidation_scene import BTC, ETH, USDC, Scene, scene_on
from tests.store.projection_builders import seeded

FALL = (0.97, 0.94, 0.9, 0.88, 0.8, 0.76, 0.72, 0.65)


async def positions_of_forty(scene: Scene, seed: int) -> list[int]:
    """Longs of 5 to 20 times leverage against five makers; some quotes rest on either side."""
    chance = seeded(seed)
    makers = [await scene.user("60000") for _ in range(5)]
    longs = []
    for number in range(40):
        leverage = chance.randint(5, 20)
        market, price, lot = ((BTC, 60_000, 60), (ETH, 3_000, 30))[number % 2]
        lots = chance.randint(20, 400)
        longs.append(await scene.user(str(lots * lot // leverage + 50)))
        await scene.trade(longs[-1], chance.choice(makers), lots, price, market)
        if number % 5 == 0:
            await scene.order(longs[-1], Side.BUY, 10, price * 0.9, market)
    return longs + makers


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_crash_leaves_nobody_below_zero_and_nothing_undone(database: str, seed: int) -> None:
    """-35 % in eight steps: every debt is paid or carried, every liquidation ends, and the money is all there."""
    async with scene_on(database) as scene:
        users = await positions_of_forty(scene, seed)
        await scene.drain_fund(2_000)
        for part in FALL:
            for market, price in ((BTC, 60_000), (ETH, 3_000)):
                await scene.index(price * part, market)
                await scene.order(users[-1], Side.BUY, 15, price * part * 0.999, market, time_in_force=TimeInForce.GTC)
            await scene.look(5)
        await scene.look(25)
        session = scene.session
        open_ones = "SELECT count(*) FROM liquidations WHERE ended_at IS NULL AND kind = 'LIQUIDATION'"
        assert await session.fetchval(open_ones) == 0
        below = "SELECT user_id, wallet FROM accounts a WHERE wallet < 0 AND NOT EXISTS ("
        below += "SELECT 1 FROM positions p WHERE p.user_id = a.user_id AND p.lots <> 0)"
        assert await session.fetch(below) == []
        assert await session.fetchval("SELECT count(*) FROM liquidation_steps WHERE done_at IS NULL") == 0
        done = {row[0] for row in await session.fetch("SELECT DISTINCT action FROM liquidation_steps")}
        assert done >= {"LIQUIDATION", "TAKE_OVER", "ADL", "CANCEL_ORDERS", "MARGIN_CALL", "RELEASE"}
        assert (await session.fetchrow("SELECT difference, clearing_difference FROM conservation")) == (0, 0)
        assert await audit(session) == []
        assert await deep_audit(session) == []
        assert USDC
