"""Public ids and the numbers they encode. Ids are derived, not drawn: a replay yields the same ones."""

INSURANCE_FUND = -3
"""The number under which the insurance fund holds positions: that of its house account, so no user can have it."""

USER_DIGITS_MAX = 18
_SEQUENCE_BITS = 40
_SEQUENCE_MASK = (1 << _SEQUENCE_BITS) - 1


def order_key(market_id: int, seq: int) -> int:
    """The database key of the order that command `seq` of a market created."""
    return market_id << _SEQUENCE_BITS | seq


def seq_of_order_key(key: int) -> int:
    """The command sequence inside an order's database key."""
    return key & _SEQUENCE_MASK


def public_order_id(market: str, seq: int) -> str:
    """`BTC-PERP-57`: the order that command 57 of BTC-PERP created."""
    return f"{market}-{seq}"


def public_id_of_order(market: str, key: int) -> str:
    """`BTC-PERP-57`, by the order's database key."""
    return public_order_id(market, seq_of_order_key(key))


def public_id_of_order_or_none(market: str, key: int | None) -> str | None:
    """As `public_id_of_order`, where there may be no order."""
    return None if key is None else public_id_of_order(market, key)


def public_trade_id(market: str, trade: int) -> str:
    """`BTC-PERP-12`: the twelfth trade of BTC-PERP."""
    return f"{market}-{trade}"


def public_event_id(market: str, seq: int) -> str:
    """`BTC-PERP:91`: event 91 of BTC-PERP."""
    return f"{market}:{seq}"


def public_command_id(market: str, seq: int) -> str:
    """`BTC-PERP:57`: command 57 of BTC-PERP."""
    return f"{market}:{seq}"


def parse_public_order_id(text: str) -> tuple[str, int] | None:
    """Market and sequence named by a public order id; None for what we never issued."""
    return _parse(text, "-")


def parse_public_command_id(text: str) -> tuple[str, int] | None:
    """Market and sequence named by a public command id; None for what we never issued."""
    return _parse(text, ":")


def _parse(text: str, separator: str) -> tuple[str, int] | None:
    market, _, number = text.rpartition(separator)
    if not market or not number.isascii() or not number.isdigit() or number[0] == "0" or len(number) > 12:
        return None
    seq = int(number)
    return (market, seq) if seq <= _SEQUENCE_MASK else None


def user_id_of(text: str) -> int | None:
    """The user id that a text is; None for any other text."""
    is_id = bool(text) and text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= USER_DIGITS_MAX
    return int(text) if is_id else None
