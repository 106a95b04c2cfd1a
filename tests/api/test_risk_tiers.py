"""Risk tiers and limits as a client meets them, and that a change counts from the next request on, without a restart."""

import asyncio

import asyncpg

from schemas.commands import SetSpec
from schemas.risk_tiers import RiskTier
from schemas.units import Micros, Ppm
from store.command_log.commands import append_command
from tests.api.exchange import Exchange, now
from tests.api.margin_scene import account_of, findings_of, long_from, market, move_index, spare

USDC = 10**6
BTC, LEVERAGE = "BTC-PERP", "/positions/BTC-PERP/leverage"
WORKED_EXAMPLE = (
    RiskTier(Micros(50_000 * USDC), Ppm(50_000), Ppm(5_000), 20),
    RiskTier(Micros(250_000 * USDC), Ppm(100_000), Ppm(10_000), 10),
)
SHOWN = [
    {"notionalUpTo": "50000", "initialMarginRate": "0.05", "maintenanceMarginRate": "0.005", "maxLeverage": 20},
    {"notionalUpTo": "250000", "initialMarginRate": "0.1", "maintenanceMarginRate": "0.01", "maxLeverage": 10},
]


async def set_limits(exchange: Exchange, *tiers: RiskTier, interest: int = 0) -> None:
    """The operator's command, through the market's log."""
    session = await asyncpg.connect(exchange.dsn)
    await append_command(session, BTC, SetSpec(now(), tiers, Micros(interest * USDC)))
    await session.close()
    await exchange.run_engine()


async def test_tiers_are_published_without_a_token_in_the_market_and_alone(exchange: Exchange) -> None:
    """One tier up to 10^12 at first; then those that are set, with the open-interest limit; the market's rates are the lowest."""
    nobody = exchange.anonymous()
    alone = await nobody.get(f"/markets/{BTC}/risk-tiers")
    assert alone.body == [SHOWN[0] | {"notionalUpTo": "1000000000000"}]
    shown = (await nobody.get(f"/markets/{BTC}")).body
    assert (shown["riskTiers"], shown["maxOpenInterest"]) == (alone.body, "0")
    await set_limits(exchange, *WORKED_EXAMPLE, interest=5_000_000)
    assert (await nobody.get(f"/markets/{BTC}/risk-tiers")).body == SHOWN
    shown = (await nobody.get(f"/markets/{BTC}")).body
    assert (shown["riskTiers"], shown["maxOpenInterest"], shown["maxLeverage"]) == (SHOWN, "5000000", 20)
    missing = await nobody.get("/markets/DOGE-PERP/risk-tiers")
    assert (missing.status, missing.code) == (404, "MARKET_NOT_FOUND")


async def test_the_next_order_after_a_change_needs_the_margin_of_the_tiers(exchange: Exchange) -> None:
    """BUY 2 at 50,000, 100,000 USDC: 5,000 and 50 of fees before, 7,500 and 50 after; the preview says the same."""
    await move_index(exchange, 50_000)
    alice = await exchange.user("7000")
    assert (await alice.preview(quantity="2", price="50000")).body["marginRequired"] == "5050"
    await set_limits(exchange, *WORKED_EXAMPLE)
    previewed = (await alice.preview(quantity="2", price="50000")).body
    assert previewed["refusal"]["details"]["required"] == "7550"
    answer = await alice.order(quantity="2", price="50000")
    assert (answer.status, answer.code) == (422, "INSUFFICIENT_MARGIN")
    assert (answer.details["required"], answer.details["available"]) == ("7550", "7000")
    assert (await alice.order(quantity="1", price="50000")).status == 202
    await set_limits(exchange)
    assert (await alice.order(quantity="1", price="50000")).status == 202, "one tier again: 5,050"


async def test_positions_and_leverage_show_the_margins_of_the_tiers(exchange: Exchange) -> None:
    """The worked example: long 2 from 50,000 at leverage 20 needs 7,500 and keeps 750, with 10,000 left after the fee."""
    await move_index(exchange, 50_000)
    trader, _ = await long_from(exchange, "10020", "2", "50000")
    await set_limits(exchange, *WORKED_EXAMPLE)
    (position,) = (await trader.get("/positions")).body
    assert (position["initialMargin"], position["maintenanceMargin"]) == ("7500", "750")
    assert position["liquidationPrice"] == "45328.3"  # 2 P - 90,000 = 250 + 1 % of (2 P - 50,000)
    leverage = (await trader.get(LEVERAGE)).body
    assert (leverage["leverage"], leverage["maxLeverage"]) == (20, 20)
    assert (leverage["initialMargin"], leverage["maintenanceMargin"], leverage["availableMargin"]) == (
        "7500",
        "750",
        "2500",
    )
    assert (await trader.get("/balances")).body[0]["available"] == "2500"
    lowered = await trader.call("POST", LEVERAGE, {"leverage": 8})
    assert (lowered.code, lowered.details["required"]) == ("INSUFFICIENT_MARGIN", "12500")
    assert (await trader.call("POST", LEVERAGE, {"leverage": 10})).body["initialMargin"] == "10000"


async def test_no_order_opens_more_than_the_largest_position_and_reducing_is_free(exchange: Exchange) -> None:
    """250,000 USDC at 50,000 is 5. A position of 6 from before may be reduced, and not enlarged."""
    await move_index(exchange, 50_000)
    trader, _ = await long_from(exchange, "1000000", "6", "50000")
    await set_limits(exchange, *WORKED_EXAMPLE)
    enlarged = await trader.order(quantity="0.001", price="50000")
    assert (enlarged.status, enlarged.code) == (400, "INVALID_ORDER")
    assert enlarged.details == {"filter": "MAX_POSITION", "limit": "250000", "got": "300050"}
    assert (await trader.order(side="SELL", quantity="1", price="50000")).status == 202
    assert (await trader.order(side="SELL", quantity="1", price="50000", reduceOnly=True)).status == 202
    assert (await trader.call("POST", f"/positions/{BTC}/close")).status == 202
    assert (await trader.order(side="SELL", quantity="11", price="50000")).code == "INVALID_ORDER"


async def test_open_interest_is_judged_as_it_is_projected_and_reducing_is_free(exchange: Exchange) -> None:
    """2 are open at 50,000 under a limit of 125,000: 0.5 may be opened; what has filled counts in the next order."""
    await move_index(exchange, 50_000)
    trader, rich = await long_from(exchange, "1000000", "2", "50000")
    await set_limits(exchange, interest=125_000)
    refused = await trader.order(quantity="0.501", price="50000")
    assert (refused.code, refused.details) == (
        "INVALID_ORDER",
        {"filter": "MAX_OPEN_INTEREST", "limit": "125000", "got": "125050"},
    )
    assert (await trader.order(quantity="0.5", price="50000")).status == 202
    assert (await rich.order(side="SELL", quantity="0.5", price="50000")).status == 202
    await exchange.run_engine()
    other = await exchange.user("1000000")
    full = await other.order(quantity="0.001", price="50000")
    assert full.details == {"filter": "MAX_OPEN_INTEREST", "limit": "125000", "got": "125050"}
    assert (await trader.order(side="SELL", quantity="1", price="50000")).status == 202
    assert (await market(rich, "BUY", "1")).status == 202
    await exchange.run_engine()
    assert (await other.order(quantity="0.9", price="50000")).status == 202
    assert await findings_of(exchange) == []


async def test_an_api_process_that_was_asked_nothing_meanwhile_decides_by_the_new_tiers(exchange: Exchange) -> None:
    """Its specifications are those of its start: the first batch after a change sees that they are old."""
    alice = await exchange.user("1000000")
    await set_limits(exchange, *WORKED_EXAMPLE)
    await set_limits(exchange, RiskTier(Micros(6_000 * USDC), Ppm(50_000), Ppm(5_000), 20))
    assert (await alice.order(quantity="0.1")).status == 202  # 6,000 USDC
    beyond = await alice.order(quantity="0.001")
    assert beyond.details == {"filter": "MAX_POSITION", "limit": "6000", "got": "6060"}


async def test_splitting_and_racing_pays_the_margin_of_the_whole(exchange: Exchange) -> None:
    """Twenty orders of 0.2 at once, each alone in the first tier: 7,550 pays for 2 at 50,000, whichever ten are accepted."""
    await move_index(exchange, 50_000)
    await set_limits(exchange, *WORKED_EXAMPLE)
    thief, mate = await exchange.user("7550"), await exchange.user("100000000")
    answers = await asyncio.gather(*(thief.order(quantity="0.2", price="50000") for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [202] * 10 + [422] * 10
    assert (await market(mate, "SELL", "5")).status == 202
    await exchange.run_engine()
    account = await account_of(exchange, thief)
    assert account.exposures[BTC].exposure.lots == 2_000
    assert spare(account) >= 0
    assert await findings_of(exchange) == []


async def test_a_position_is_not_turned_around_beyond_the_largest(exchange: Exchange) -> None:
    """Long 5, the largest: SELL 10 would leave short 5, or short 10 once a reduce-only SELL 5 has closed the long. It is refused."""
    await move_index(exchange, 50_000)
    await set_limits(exchange, *WORKED_EXAMPLE)
    thief, mate = await long_from(exchange, "1000000", "5", "50000")
    naked = await thief.order(side="SELL", quantity="10", price="50000")
    assert naked.details == {"filter": "MAX_POSITION", "limit": "250000", "got": "500000"}
    assert (await thief.order(side="SELL", quantity="5", price="50000")).status == 202
    assert (await thief.order(side="SELL", quantity="5", price="49990", reduceOnly=True)).status == 202
    assert (await thief.order(side="SELL", quantity="0.001", price="50000")).code == "INVALID_ORDER"
    for _ in range(2):
        assert (await market(mate, "BUY", "5")).status == 202
        await exchange.run_engine()
    assert (await account_of(exchange, thief)).exposures[BTC].exposure.lots == -5_000
    assert await findings_of(exchange) == []
