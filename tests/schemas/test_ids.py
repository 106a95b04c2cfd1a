"""Public ids are derived from numbers, and only ours are read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ids import (
    order_key,
    parse_public_command_id,
    parse_public_order_id,
    public_command_id,
    public_event_id,
    public_id_of_order,
    public_id_of_order_or_none,
    public_order_id,
    public_trade_id,
    seq_of_order_key,
)


@given(st.integers(1, 2**22), st.integers(1, 2**40 - 1))
@settings(deadline=None)
def test_an_order_key_holds_the_market_and_the_sequence(market_id: int, seq: int) -> None:
    """The key is an int8, and different for different orders."""
    key = order_key(market_id, seq)
    assert key < 2**63
    assert (key >> 40, seq_of_order_key(key)) == (market_id, seq)
    assert public_id_of_order("X", key) == public_id_of_order_or_none("X", key) == public_order_id("X", seq)
    assert public_id_of_order_or_none("X", None) is None


@given(st.sampled_from(["BTC-PERP", "ETH-PERP", "X"]), st.integers(1, 10**12 - 1))
@settings(deadline=None)
def test_the_ids_of_orders_and_commands_read_back(market: str, seq: int) -> None:
    """The market's name may contain the separator of an order's."""
    assert parse_public_order_id(public_order_id(market, seq)) == (market, seq)
    assert parse_public_command_id(public_command_id(market, seq)) == (market, seq)


@pytest.mark.parametrize(
    "text",
    [
        *("", "BTC-PERP", "BTC-PERP-", "BTC-PERP-0", "BTC-PERP-057", "BTC-PERP-+5", "BTC-PERP-5 ", "-5", "5"),
        *("BTC-PERP-٣", "BTC-PERP-" + "9" * 13, "BTC-PERP-5\n", "BTC-PERP-1e3"),
    ],
)
def test_what_we_never_issued_is_not_read(text: str) -> None:
    """Malformed ids answer as unknown ones."""
    assert parse_public_order_id(text) is None
    assert parse_public_command_id(":".join(text.rsplit("-", 1))) is None


def test_ids_name_their_market() -> None:
    """Events and commands by a colon, orders and trades by a dash."""
    assert public_event_id("BTC-PERP", 91) == public_command_id("BTC-PERP", 91) == "BTC-PERP:91"
    assert public_trade_id("BTC-PERP", 12) == "BTC-PERP-12"
