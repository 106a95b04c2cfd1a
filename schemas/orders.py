"""Enums of an order's attributes, shared by REST bodies, commands, events and the database."""

from enum import StrEnum

from schemas.plain_members import plain_members


@plain_members
class Side(StrEnum):
    """Which way an order or a fill trades."""

    BUY = "BUY"
    SELL = "SELL"

    sign: int
    """+1 for a buy, -1 for a sell."""
    opposite: "Side"
    """The side that this one trades against."""


# Attributes of the two members, not properties: every order reads them several times.
Side.BUY.sign, Side.SELL.sign = 1, -1
Side.BUY.opposite, Side.SELL.opposite = Side.SELL, Side.BUY


@plain_members
class OrderType(StrEnum):
    """LIMIT rests at its price; MARKET is an IOC with a protection price. The others wait for their condition first:
    STOP and TAKE_PROFIT are limit orders after it, the rest market orders (docs/semantics.md, "Conditional orders")."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"

    is_conditional: bool
    """Whether it waits for a condition."""
    is_limit: bool
    """Whether it has a price of its own, not a protection price."""


# Attributes of the members, as of Side.
for _type in OrderType:
    _type.is_conditional = _type not in {OrderType.LIMIT, OrderType.MARKET}
    _type.is_limit = _type in {OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT}


@plain_members
class WorkingType(StrEnum):
    """The price that the condition of an order is about: the mark, the last trade or the index."""

    MARK = "MARK"
    LAST = "LAST"
    INDEX = "INDEX"


@plain_members
class TimeInForce(StrEnum):
    """How long an order may wait: until cancelled, not at all, all or nothing, until `expiresAt`."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


@plain_members
class SelfTradePrevention(StrEnum):
    """Whose order gives way when an account would trade with itself; the taker's mode decides."""

    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


@plain_members
class OrderStatus(StrEnum):
    """The life of an order; the last four are terminal. Only conditional orders are UNTRIGGERED, then TRIGGERED."""

    PENDING = "PENDING"
    UNTRIGGERED = "UNTRIGGERED"
    TRIGGERED = "TRIGGERED"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_live(self) -> bool:
        """Whether the order still counts for margin."""
        return self in _LIVE

    @property
    def is_open(self) -> bool:
        """Whether the order has not ended: it is live, or waits for its condition or its margin."""
        return self in _OPEN


_LIVE = frozenset({OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})
_OPEN = _LIVE | {OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED}


@plain_members
class EndReason(StrEnum):
    """Why an order ended without being filled in full (docs/semantics.md, "Orders")."""

    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    REDUCE_ONLY = "REDUCE_ONLY"
    MARKET_STATUS = "MARKET_STATUS"
    INTERNAL = "INTERNAL"
    IOC_REMAINDER = "IOC_REMAINDER"
    FOK_UNFILLABLE = "FOK_UNFILLABLE"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    PRICE_BAND = "PRICE_BAND"
    GTD_EXPIRED = "GTD_EXPIRED"
    TIMED_OUT = "TIMED_OUT"
    USER = "USER"
    SELF_TRADE = "SELF_TRADE"
    MARGIN = "MARGIN"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    DEAD_MAN = "DEAD_MAN"
    AMENDED = "AMENDED"
    POSITION_CLOSED = "POSITION_CLOSED"
    OCO = "OCO"
    PARENT_ENDED = "PARENT_ENDED"


@plain_members
class AmendCause(StrEnum):
    """Why the terms of an order changed: the resting band moved it, it closes a position that has changed, or its owner asked for it."""

    PRICE_BAND = "PRICE_BAND"
    POSITION = "POSITION"
    USER = "USER"


@plain_members
class AmendRefusal(StrEnum):
    """Why the engine refused an amend: the order stays as it was, or had ended. TRIGGERED: its condition held before the amend came."""

    ENDED = "ENDED"
    TRIGGERED = "TRIGGERED"
    MARKET_STATUS = "MARKET_STATUS"
    PRICE_BAND = "PRICE_BAND"
    REDUCE_ONLY = "REDUCE_ONLY"
    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    INTERNAL = "INTERNAL"


@plain_members
class AmendVerdict(StrEnum):
    """What became of an amend: not decided yet, done, refused, or it ended the order, which had already filled as much."""

    PENDING = "PENDING"
    DONE = "DONE"
    REFUSED = "REFUSED"
    ENDED_ORDER = "ENDED_ORDER"


@plain_members
class CountdownScope(StrEnum):
    """Which orders a dead-man's switch ends: all, or all that are not reduce-only."""

    ALL = "ALL"
    NON_REDUCE_ONLY = "NON_REDUCE_ONLY"


@plain_members
class LiquidityRole(StrEnum):
    """Whether a fill's order was resting (MAKER) or arriving (TAKER)."""

    MAKER = "MAKER"
    TAKER = "TAKER"


@plain_members
class FillCause(StrEnum):
    """What made a fill happen; SETTLEMENT closes positions without one, when their market ends."""

    TRADE = "TRADE"
    LIQUIDATION = "LIQUIDATION"
    TAKE_OVER = "TAKE_OVER"
    ADL = "ADL"
    SETTLEMENT = "SETTLEMENT"
