"""The comparison of answers with the document finds what would break a generated client."""

import pytest

from tests.api.documented_answers import undocumented

TIME = "2027-01-15T12:00:00.000000Z"
FILL = {
    "marketId": "BTC-PERP",
    "sequence": 17,
    "tradeId": "BTC-PERP-17",
    "eventId": "BTC-PERP:91",
    "time": TIME,
    "price": "60000",
    "quantity": "0.3",
    "notional": "18000",
    "takerSide": "SELL",
    "makerOrderId": "BTC-PERP-57",
    "takerOrderId": None,
    "cause": "TRADE",
    "schemaVersion": 1,
}


def faults(fill: dict[str, object], status: int = 200, **headers: str) -> list[str]:
    """Of a page of fills."""
    body = {"data": [fill], "nextCursor": None}
    return undocumented("GET", "/markets/BTC-PERP/fills?limit=1", status, headers, body)


def test_what_is_documented_is_not_a_fault() -> None:
    """A page of fills; and a bare array, where there can be one and nothing was asked for."""
    assert faults(FILL) == []
    assert undocumented("GET", "/fills", 200, {}, []) == []
    assert undocumented("GET", "/fills?limit=1", 200, {}, []) != []
    assert undocumented("GET", "/ledger", 200, {}, []) != []


@pytest.mark.parametrize(
    "changed",
    [
        *({"added": 1}, {"time": "2027-01-15 12:00"}, {"time": "2027-01-15T13:00:00.000+01:00"}, {"price": 60000}),
        *({"sequence": 2**63}, {"sequence": "17"}, {"takerSide": "LONG"}, {"cause": "NEW"}, {"schemaVersion": None}),
    ],
)
def test_a_field_that_is_not_documented_so_is_a_fault(changed: dict[str, object]) -> None:
    """Another field, type, format, size or word."""
    assert len(faults(FILL | changed)) == 1


def test_what_is_missing_or_about_the_answer_is_a_fault() -> None:
    """Each field of a fill; a status; a header."""
    for name in FILL:
        assert faults({key: value for key, value in FILL.items() if key != name}) != [], name
    assert faults(FILL, status=201) == ["status 201"]
    assert faults(FILL, Link="<>") == ["header Link"]
