"""The ladder on real tables with the real engine: every rung with its numbers (semantics.md section 6)."""

from schemas.orders import Side
from tests.store.liquidation_scene import USDC, scene_on


async def test_a_long_is_sold_to_a_bid_above_its_bankruptcy_price_and_pays_the_fee(database: str) -> None:
    """Long 1 from 60,000 with 3,000 at 57,286.4: sold at 57,200, realized -2,800, fee 0.25 % = 143, left with 57."""
    async with scene_on(database) as scene:
        ann, bob, carl = await scene.user("3012"), await scene.user("9000"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        assert await scene.wallet(ann) == 3_000 * USDC
        await scene.index(57_286.4)
        await scene.order(carl, Side.BUY, 1_000, 57_200)
        await scene.look(4)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "RELEASE"]
        assert await scene.position(ann) == (0, 0)
        assert await scene.wallet(ann) == 57 * USDC
        assert await scene.fund() == 1_000_143 * USDC
        assert not await scene.is_flagged(ann)
        [(inputs, outcome)] = await scene.receipts(ann, "LIQUIDATION")
        assert (inputs["wallet"], inputs["equity"], inputs["maintenance"]) == ("3000", "286.4", "286.432")
        assert inputs["step"]["limitPrice"] == "57000"
        assert outcome is not None
        assert (outcome["quantity"], outcome["fee"]) == (1_000, 143 * USDC)
