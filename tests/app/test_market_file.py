"""A market as an operator writes it down."""

import msgspec
import pytest
from msgspec.structs import replace

from app.market_file import MarketFileRefused, read_market_changes, read_market_file
from schemas.market import SEED_MARKETS, spec_faults
from schemas.risk_tiers import RiskTier
from schemas.units import Micros, Ppm

ETH = {"id": "ETH-PERP", "tickSize": "0.01", "lotSize": "0.01", "maxQuantity": "10000", "referencePrice": "3000"}


def body(**changes: object) -> bytes:
    """A file of ETH-PERP with changes."""
    return msgspec.json.encode(ETH | changes)


def test_what_is_left_out_is_as_in_the_markets_of_a_new_exchange() -> None:
    """Five lines describe ETH-PERP."""
    assert read_market_file(body()) == SEED_MARKETS[1]


def test_everything_can_be_given() -> None:
    """Rates are fractions of at most 6 decimals, a rebate has a minus."""
    spec = read_market_file(body(id="SOL2-PERP", makerFeeRate="-0.0001", fundingIntervalHours=1, minQuantity="0.05"))
    assert (spec.market, spec.base_asset, spec.maker_fee_rate) == ("SOL2-PERP", "SOL2", -100)
    assert (spec.funding_interval_hours, spec.quantity_min) == (1, 5)
    assert spec_faults(spec) == []


TIER = {"notionalUpTo": "50000", "initialMarginRate": "0.05", "maintenanceMarginRate": "0.005", "maxLeverage": 20}


def test_risk_tiers_and_an_open_interest_limit_can_be_given() -> None:
    """Notionals in the quote asset, rates as fractions."""
    spec = read_market_file(body(riskTiers=[TIER], maxOpenInterest="5000000"))
    assert spec.risk_tiers == (RiskTier(Micros(50_000 * 10**6), Ppm(50_000), Ppm(5_000), 20),)
    assert spec.open_interest_max == 5_000_000 * 10**6
    assert spec_faults(spec) == []


def test_of_a_listed_market_a_file_may_have_some_fields_only() -> None:
    """The others stay as they are, whatever the defaults of a new market."""
    listed = read_market_file(body(maxLeverage=10, makerFeeRate="-0.0001", minQuantity="0.05", riskTiers=[TIER]))
    assert read_market_changes(b"{}", listed) == listed
    changed = read_market_changes(b'{"riskTiers": [], "maxOpenInterest": "7"}', listed)
    assert changed == replace(listed, risk_tiers=(), open_interest_max=Micros(7_000_000))


@pytest.mark.parametrize(
    "changes",
    [
        *({"id": name} for name in ("", "eth-PERP", "ETH", "../../x-PERP", "E" * 17 + "-PERP", "ETH-PERP\n", "É-PERP")),
        *({"tickSize": size} for size in ("", "-1", "1e3", "NaN", "9" * 30, 0.01, None)),
        *({"maxQuantity": "0.001"}, {"minQuantity": "0.015"}, {"makerFeeRate": "0.0000001"}, {"priceBand": "2"}),
        *({"maxOpenOrders": 0}, {"maxOpenOrders": 10**9}, {"maxLeverage": "20"}, {"more": 1}),
    ],
)
def test_a_file_with_faults_is_refused(changes: dict[str, object]) -> None:
    """With a sentence for each, before anything is listed."""
    with pytest.raises(MarketFileRefused) as refused:
        read_market_file(body(**changes))
    assert refused.value.faults


def test_every_faulty_field_is_reported_at_once() -> None:
    """Nobody corrects a file one field at a time."""
    written = {name: value for name, value in ETH.items() if name != "referencePrice"}
    with pytest.raises(MarketFileRefused) as refused:
        read_market_file(
            msgspec.json.encode(written | {"more": 1, "most": None, "tickSize": 0.01, "maxLeverage": "20"})
        )
    assert refused.value.faults == [
        "unknown field 'more'",
        "unknown field 'most'",
        "referencePrice is missing",
        'tickSize must be a decimal string like "0.001"',
        "maxLeverage must be a whole number",
    ]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_market_is_refused(content: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(MarketFileRefused):
        read_market_file(content)
