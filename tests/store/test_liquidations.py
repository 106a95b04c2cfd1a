"""Liquidations on real tables with the real engine: every step with its numbers (docs/semantics.md, "Liquidation")."""

from schemas.orders import Side
from tests.store.liquidation_scene import ETH, USDC, scene_on


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


async def test_a_large_position_is_closed_by_fifths_and_the_rest_given_back(database: str) -> None:
    """Long 10 with 30,000 at 57,286: 2 of 10 sold at 57,250 leave more than maintenance, and the liquidation ends."""
    async with scene_on(database) as scene:
        ann, bob, carl = await scene.user("30120"), await scene.user("90000"), await scene.user("90000")
        await scene.trade(ann, bob, 10_000, 60_000)
        await scene.index(57_286)
        await scene.order(carl, Side.BUY, 10_000, 57_250)
        await scene.look(4)
        # equity 2,860 of 2,864.3; the step's limit is the bankruptcy price 57,000 and its fee 286.25
        assert await scene.position(ann) == (8_000, 480_000 * USDC)
        assert await scene.wallet(ann) == (30_000 - 5_500) * USDC - 286_250_000
        # 2,860 - 72 of the fill - 286.25 = 2,501.75 over 2,291.44
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "RELEASE"]


async def test_without_bids_the_fund_takes_over_at_the_amount_that_leaves_nothing(database: str) -> None:
    """Long 1 with 3,000 at 57,100: equity 100 goes to the fund with the position, at V = 57,000."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_100)
        await scene.look(5)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "TAKE_OVER", "RELEASE"]
        assert (await scene.position(ann), await scene.wallet(ann)) == ((0, 0), 0)
        assert await scene.position(-3) == (1_000, 57_000 * USDC)
        assert await scene.fund() == 1_000_000 * USDC
        [(inputs, outcome)] = await scene.receipts(ann, "TAKE_OVER")
        assert inputs["closure"] == {"quantity": "1", "cost": "60000", "equityShare": "100", "amount": "57000"}
        assert inputs["fund"] == {"wallet": "1000000", "unrealizedPnl": "0", "inFlight": "0", "positions": []}
        assert outcome is not None
        assert (outcome["quantity"], outcome["isStale"]) == (1_000, False)


async def test_the_fund_sells_what_it_took_over_and_is_more_patient_each_time_it_cannot(database: str) -> None:
    """Long 1 at 57,000, mark 57,100: offered at 56,814.5 or better; after two seconds of nothing a bid takes it at 57,050."""
    async with scene_on(database) as scene:
        ann, bob, carl = await scene.user("3012"), await scene.user("9000"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(57_100)
        await scene.look(22)
        assert 2 <= (await scene.actions(-3)).count("FUND_SALE") <= 4
        await scene.order(carl, Side.BUY, 1_000, 57_050)
        await scene.look(30)
        assert await scene.position(-3) == (0, 0)
        assert await scene.fund() == 1_000_050 * USDC
        (inputs, _), *_ = await scene.receipts(-3, "FUND_SALE")
        assert inputs["step"]["limitPrice"] == "56814.5"
        query = "SELECT ended_at IS NOT NULL FROM liquidations WHERE kind = 'INVENTORY'"
        assert await scene.session.fetchval(query)


async def test_two_markets_are_taken_over_one_after_the_other(database: str) -> None:
    """Long 1 BTC and 20 ETH: both go, and the wallet ends at exactly zero."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("6024"), await scene.user("20000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.trade(ann, bob, 2_000, 3_000, market=ETH)
        await scene.index(57_000)
        await scene.index(2_853, market=ETH)
        await scene.look(10)
        taken = [action for action in await scene.actions(ann) if action == "TAKE_OVER"]
        assert (len(taken), await scene.wallet(ann)) == (2, 0)
        assert (await scene.position(-3))[0] == 1_000
        assert (await scene.position(-3, 2))[0] == 2_000
        assert not await scene.is_flagged(ann)


async def test_a_fund_that_is_too_small_takes_its_part_and_the_other_side_is_deleveraged_for_the_rest(
    database: str,
) -> None:
    """Long 1 with 3,000 at 56,500 owes 500; the fund has 100: it takes 0.2 at 57,000, Bob's short closes 0.8 there."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9030")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.drain_fund(100)
        await scene.order(bob, Side.SELL, 100, 61_000)
        await scene.index(56_500)
        await scene.look(6)
        assert await scene.actions(ann) == [
            "MARGIN_CALL",
            "CANCEL_ORDERS",
            "LIQUIDATION",
            "TAKE_OVER",
            "ADL",
            "RELEASE",
        ]
        assert (await scene.position(ann), await scene.position(bob)) == ((0, 0), (-200, -12_000 * USDC))
        assert await scene.position(-3) == (200, 11_400 * USDC)
        assert (await scene.wallet(ann), await scene.wallet(bob)) == (0, 11_400 * USDC)
        [(inputs, outcome)] = await scene.receipts(ann, "TAKE_OVER")
        assert inputs["closure"] == {"quantity": "1", "cost": "60000", "equityShare": "-500", "amount": "57000"}
        assert inputs["fundTakes"] == {"quantity": "0.2", "equityShare": "-100", "amount": "11400"}
        assert inputs["fund"]["wallet"] == "100"
        assert outcome is not None
        assert (outcome["quantity"], outcome["isStale"]) == (200, False)
        assert await scene.fund() == 100 * USDC
        reason = "SELECT reason FROM orders WHERE user_id = $1 AND price = 610000"
        assert await scene.session.fetchval(reason, bob) == "ADL"
        [(inputs, _)] = await scene.receipts(ann, "ADL")
        [rank] = inputs["ranking"]
        assert (rank["user"], rank["equity"], rank["closes"]) == (bob, "12500", "0.8")
        # 3,500 / 60,000 x 56,500 / 12,500
        assert rank["score"] == "0.263667"


async def test_a_market_of_the_first_rules_is_taken_over_whole_or_not_at_all(database: str) -> None:
    """Before rules 2 the engine knows no parts: with 100 against 500 the fund takes nothing, Bob's short closes whole."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9030")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.drain_fund(100)
        await scene.session.execute(
            "CREATE FUNCTION first_rules() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.rules := 1; RETURN NEW; END';"
            "CREATE TRIGGER first_rules BEFORE UPDATE ON markets FOR EACH ROW EXECUTE FUNCTION first_rules()"
        )
        await scene.index(56_500)
        await scene.look(6)
        assert await scene.actions(ann) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "ADL", "RELEASE"]
        assert (await scene.position(bob), await scene.position(-3), await scene.fund()) == ((0, 0), (0, 0), 100 * USDC)


async def test_a_counterparty_that_deleveraging_would_bankrupt_is_spared(database: str) -> None:
    """Ann owes 2,000. Bob's shorts are 0.5 with 200 of equity and Carl's 0.5 with plenty: Carl alone carries a half."""
    async with scene_on(database) as scene:
        ann, bob, carl, dora = [await scene.user(amount) for amount in ("3012", "3015", "20015", "99999")]
        await scene.trade(ann, bob, 500, 60_000)
        await scene.trade(ann, carl, 500, 60_000)
        await scene.drain_fund(0)
        # bob loses nearly everything elsewhere: 10 ETH long from 3,000 at 2,545
        await scene.trade(bob, dora, 1_000, 3_000, market=ETH)
        await scene.index(55_000)
        await scene.index(2_480, market=ETH)
        bob_equity = await scene.wallet(bob) + 2_500 * USDC - 5_200 * USDC
        assert 0 < bob_equity < 1_000 * USDC
        await scene.look(8)
        [(inputs, outcome)] = await scene.receipts(ann, "ADL")
        assert {rank["user"]: rank["closes"] for rank in inputs["ranking"]} == {bob: "0", carl: "0.5"}
        assert outcome is not None
        assert outcome["quantity"] == 500
        assert await scene.wallet(bob) > -(10**12)


async def test_what_nobody_can_carry_leaves_the_fund_below_zero_and_closes_the_market(database: str) -> None:
    """Ann owes 2,000 for long 1; the other side is Bob alone, who has less than that: the fund takes it, CANCEL_ONLY.

    Its 500 carry a quarter; the rest leaves it below zero.
    """
    async with scene_on(database) as scene:
        ann, bob, dora = await scene.user("3012"), await scene.user("3030"), await scene.user("99999")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.drain_fund(500)
        await scene.trade(bob, dora, 1_000, 3_000, market=ETH)
        await scene.index(55_000)
        await scene.index(2_345, market=ETH)
        await scene.look(7)
        [(part, _), (inputs, _)] = await scene.receipts(ann, "TAKE_OVER")
        assert part["fundTakes"]["quantity"] == "0.25"
        assert inputs["fundBelowZero"] is True
        assert await scene.session.fetchval("SELECT status FROM markets WHERE name = 'BTC-PERP'") == "CANCEL_ONLY"
        assert await scene.wallet(ann) == 0


async def test_a_wallet_below_zero_without_position_is_paid_by_the_fund(database: str) -> None:
    """Ann closes at a loss beyond her wallet; nothing is left to liquidate, and the fund pays the difference."""
    async with scene_on(database) as scene:
        ann, bob = await scene.user("3012"), await scene.user("9000")
        await scene.trade(ann, bob, 1_000, 60_000)
        await scene.index(56_900)
        await scene.order(bob, Side.BUY, 1_000, 56_900)
        await scene.order(ann, Side.SELL, 1_000, 56_900, reduce_only=True)
        assert await scene.wallet(ann) == -128_450_000
        await scene.look()
        assert await scene.wallet(ann) == 0
        assert await scene.fund() == 1_000_000 * USDC - 128_450_000
        assert await scene.actions(ann) == ["FUND_CREDIT"]
