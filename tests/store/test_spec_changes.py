"""A change of risk tiers and limits: refused or not, projected, and what every reader of it sees."""

import pytest
from msgspec.structs import replace

from schemas.commands import SetSpec
from schemas.market import RULES_THIRD, MarketSpec
from schemas.orders import Side
from schemas.risk_tiers import RiskTier
from schemas.units import Micros, Ppm, Ticks
from store.audit.audit import audit
from store.liquidations.account_scan import read_markets_now, scan_accounts
from store.markets.registry import load_registry, read_spec
from store.markets.spec_changes import SpecChange, SpecChangeRefused, check_change, count_brought_below
from tests.crash_day.receipts import Step, check_receipts
from tests.exchange.margin_builders import BTC
from tests.store.account_builder import USDC, hold, session_to, user_with
from tests.store.liquidation_scene import Scene, scene_on
from tests.store.projection_builders import NOON, an_order, open_exchange

NAME = "BTC-PERP"
STEEP = (
    RiskTier(Micros(50_000 * USDC), Ppm(50_000), Ppm(5_000), 20),
    RiskTier(Micros(250_000 * USDC), Ppm(100_000), Ppm(50_000), 10),
)
"""Above 50,000 USDC a position keeps 5 %."""


def tiered(*tiers: RiskTier, interest: int = 0) -> MarketSpec:
    """BTC-PERP with these tiers."""
    return replace(BTC, risk_tiers=tiers, open_interest_max=Micros(interest * USDC))


def set_to(spec: MarketSpec) -> SetSpec:
    """The command that gives the market the tiers and limits of a specification."""
    return SetSpec(NOON, spec.risk_tiers, spec.open_interest_max)


async def test_tiers_that_no_market_can_have_are_not_set(database: str) -> None:
    """With the sentence that also refuses a new market."""
    async with session_to(database) as session:
        await check_change(session, SpecChange(BTC, tiered(*STEEP, interest=10**6)))
        with pytest.raises(SpecChangeRefused) as refused:
            await check_change(session, SpecChange(BTC, tiered(STEEP[1], STEEP[0])))
    assert "riskTiers: notionalUpTo rises" in refused.value.faults


async def test_a_market_of_older_rules_must_be_moved_first(database: str) -> None:
    """The command would stop a process of the release before: the operator moves the market when none is left."""
    async with session_to(database) as session:
        await session.execute("UPDATE markets SET rules = $1", RULES_THIRD)
        with pytest.raises(SpecChangeRefused) as refused:
            await check_change(session, SpecChange(BTC, tiered(*STEEP)))
    assert "move it with `market rules BTC-PERP 4`" in refused.value.faults[0]


async def test_the_accounts_that_a_change_would_bring_below_maintenance_are_counted(database: str) -> None:
    """Long 2 from 60,000 keeps 600, or 250 + 3,500 with the tiers: of equities 3,750 and 3,751 the first falls to it.

    One that is liquidated already does not count, nor does a small position, nor the fund.
    """
    async with session_to(database) as session:
        for wallet, lots in ((3_750, 2_000), (3_751, 2_000), (3_750, -2_000), (600, 2_000), (10, 100)):
            user = await user_with(session, wallet * USDC)
            await hold(session, user, 1, lots=lots, cost=lots * 60 * USDC)
        await hold(session, -3, 1, lots=2_000, cost=2_000 * 60 * USDC)
        assert await count_brought_below(session, SpecChange(BTC, tiered(*STEEP))) == 2
        assert await count_brought_below(session, SpecChange(tiered(*STEEP), BTC)) == 0


async def test_a_change_is_projected_and_read_by_all_who_keep_specifications(database: str) -> None:
    """The market's row, the registry, and the look of the liquidator, which scans when it has changed."""
    exchange = await open_exchange(database)
    wanted = tiered(*STEEP, interest=10**6)
    before = await read_markets_now(exchange.session)
    seq = await exchange.submit(NAME, set_to(wanted))
    await exchange.settle()
    assert await read_spec(exchange.session, NAME) == wanted
    known = (await load_registry(exchange.session)).by_name[NAME]
    assert (known.spec, known.spec_seq) == (wanted, seq)
    assert (await read_markets_now(exchange.session)).marks != before.marks
    assert exchange.registry.is_current(known.market_id, 0)
    assert not exchange.registry.is_current(known.market_id, seq)
    await exchange.submit(NAME, set_to(BTC))
    await exchange.settle()
    stored = await exchange.session.fetchval("SELECT spec FROM markets WHERE name = $1", NAME)
    assert "riskTiers" not in stored
    assert await read_spec(exchange.session, NAME) == BTC
    await exchange.close()


async def test_open_interest_follows_the_fills(database: str) -> None:
    """Opened by two, handed on, and closed: the sum of the long positions after each."""
    exchange = await open_exchange(database)
    first, second, third = [await exchange.user(f"u{number}@x.io", "1000000") for number in range(3)]
    for buyer, seller, lots, expected in (
        (first, second, 5, 5),
        (third, first, 3, 5),  # handed on
        (second, first, 4, 3),  # first is short 2, second short 1
        (second, third, 2, 2),  # second flips to long 1
    ):
        await exchange.submit(NAME, an_order(seller, Side.SELL, lots, 600_000))
        await exchange.submit(NAME, an_order(buyer, Side.BUY, lots, 600_000))
        await exchange.settle()
        assert await exchange.session.fetchval("SELECT open_interest FROM progress WHERE market_id = 1") == expected
    assert await audit(exchange.session) == []
    await exchange.close()


async def test_open_interest_is_added_up_again_where_the_release_before_has_projected(database: str) -> None:
    """Which writes progress without it."""
    exchange = await open_exchange(database)
    first, second = [await exchange.user(f"u{number}@x.io") for number in range(2)]
    for lots in (5, 4):
        await exchange.session.execute("UPDATE progress SET open_interest = 77, open_interest_seq = 0")
        await exchange.submit(NAME, an_order(second, Side.SELL, lots, 600_000))
        await exchange.submit(NAME, an_order(first, Side.BUY, lots, 600_000))
        await exchange.settle()
    rows = await exchange.session.fetch("SELECT open_interest, open_interest_seq = event_seq FROM progress ORDER BY 1")
    assert [tuple(row) for row in rows] == [(9, True), (77, False)], "the other market had no event"
    await exchange.close()


async def in_trouble(scene: Scene) -> int:
    """Long 2 from 60,000 with 3,700 left, which the tiers put below maintenance."""
    trader, rich = await scene.user("3724"), await scene.user("10000000")
    await scene.trade(trader, rich, 2_000, 60_000)  # a fee of 24
    return trader


async def test_a_forced_change_liquidates_and_its_receipts_can_be_recomputed(database: str) -> None:
    """Equity 3,700 of 3,750: the liquidator acts by the tiers at its next look; the receipt has the tiers it was decided on."""
    async with scene_on(database) as scene:
        trader = await in_trouble(scene)
        maker = await scene.user("10000000")
        await scene.order(maker, Side.BUY, 5_000, 60_000)
        await scene.look(2)
        assert await scene.actions(trader) == []
        await scene.send(set_to(tiered(*STEEP)))
        assert [check.user_id for check in await scan_accounts(scene.session) if check.is_liquidatable] == [trader]
        await scene.look(6)
        assert await scene.actions(trader) == ["MARGIN_CALL", "CANCEL_ORDERS", "LIQUIDATION", "RELEASE"]
        ((inputs, _),) = await scene.receipts(trader, "LIQUIDATION")
        (position,) = inputs["positions"]
        assert position["riskTiers"] == [
            {"notionalUpTo": "50000", "maintenanceMarginRate": "0.005"},
            {"notionalUpTo": "250000", "maintenanceMarginRate": "0.05"},
        ]
        assert (position["maintenance"], inputs["equity"]) == ("3750", "3700")
        for action in ("MARGIN_CALL", "RELEASE"):
            for inputs, _ in await scene.receipts(trader, action):
                check_receipts([Step(1, 1, trader, action, NAME, inputs, None, [])], {})
        assert (await scene.position(trader))[0] == 1_600


async def test_a_mark_that_moves_across_a_border_is_kept_for_by_its_tier(database: str) -> None:
    """Short 1 from 49,000, at 60,000: it keeps 250 + 500. A wallet of 11,750 leaves 750, and is found; a dollar more is not."""
    async with session_to(database) as session:
        await session.execute(
            "UPDATE markets SET mark = $1, spec = spec || $2::jsonb WHERE market_id = 1",
            Ticks(600_000),
            '{"riskTiers": [{"notionalUpTo": 50000000000, "initialMarginRate": 50000, "maintenanceMarginRate": 5000,'
            ' "leverageMax": 20}, {"notionalUpTo": 250000000000, "initialMarginRate": 100000,'
            ' "maintenanceMarginRate": 50000, "leverageMax": 10}]}',
        )
        users = [await user_with(session, wallet * USDC) for wallet in (11_750, 11_751)]
        for user in users:
            await hold(session, user, 1, lots=-1_000, cost=-49_000 * USDC)
        assert [check.user_id for check in await scan_accounts(session) if check.is_liquidatable] == users[:1]
