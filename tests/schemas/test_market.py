"""Market rules: what a market must satisfy, and what follows from its steps."""

from typing import Any

import msgspec
import pytest

from schemas.market import SEED_MARKETS, MarketSpec, spec_faults
from schemas.units import E18

BTC, ETH = SEED_MARKETS


def changed(**fields: Any) -> MarketSpec:
    """BTC-PERP with other rules."""
    return msgspec.structs.replace(BTC, **fields)


def test_the_seed_markets_have_no_fault() -> None:
    """BTC-PERP and ETH-PERP, as docs/semantics.md, "Units", names them."""
    assert [spec.market for spec in SEED_MARKETS] == ["BTC-PERP", "ETH-PERP"]
    assert [spec_faults(spec) for spec in SEED_MARKETS] == [[], []]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"tick_size_e18": 0}, "tickSize and lotSize"),
        ({"lot_size_e18": 0}, "tickSize and lotSize"),
        ({"tick_size_e18": E18 // 10**5, "lot_size_e18": E18 // 100}, "tickSize x lotSize"),
        ({"liquidation_fee_rate": 5_000}, "liquidationFeeRate"),
        ({"maintenance_margin_rate": 50_000}, "liquidationFeeRate"),
        ({"mark_clamp": 45_000}, "markClamp"),
        ({"quantity_min": 0}, "1 <= minQuantity"),
        ({"quantity_max": 0}, "1 <= minQuantity"),
        ({"leverage_max": 0}, "maxLeverage"),
        ({"leverage_max": 21}, "maxLeverage"),
        ({"reference_price": 0}, "referencePrice"),
        ({"maker_fee_rate": -501}, "fees"),
        ({"maker_fee_rate": 501}, "fees"),
        ({"price_band": 0}, "0 < priceBand"),
        ({"take_bound": 1_000_000}, "0 < priceBand"),
    ],
)
def test_a_faulty_market_is_refused_with_the_name_of_the_fault(fields: dict[str, int], fault: str) -> None:
    """Each rule of creation, when broken, is named first."""
    assert spec_faults(changed(**fields))[0].startswith(fault)


def test_a_notional_is_exact_in_micros() -> None:
    """0.5 BTC at 60,000: 500 lots at 600,000 ticks are 30,000 USDC; a lot is worth 100 micros a tick."""
    assert BTC.lot_value == 100
    assert BTC.notional(600_000, 500) == 30_000_000_000
    assert ETH.lot_value == 100


@pytest.mark.parametrize(
    ("index", "mark"),
    [
        (60_000_000_000_000, 600_000),
        (60_000_050_000_000, 600_000),
        (60_000_150_000_000, 600_002),
        (60_000_050_000_001, 600_001),
        (1, 1),
    ],
)
def test_the_mark_is_the_index_rounded_half_even_to_a_tick(index: int, mark: int) -> None:
    """Halves go to the even tick; a mark is never below one tick."""
    assert BTC.mark_of_index(index) == mark
