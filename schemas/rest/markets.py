"""Markets and their funding."""

from schemas.market import MarketStatus
from schemas.rest.bodies import TimeText, View


class TimeView(View, frozen=True):
    """The time of the exchange, with which a client compares its own clock."""

    time: TimeText


class RiskTierView(View, frozen=True):
    """The rates of the part of a position's notional up to `notionalUpTo`, above the tier before."""

    notional_up_to: str
    initial_margin_rate: str
    maintenance_margin_rate: str
    max_leverage: int


class MarketView(View, frozen=True, omit_defaults=True):
    """A market with its parameters, status, mark and rules version.

    `maxLeverage` and the margin rates are those of the first of `riskTiers`. The last tier's `notionalUpTo` is the largest position.
    `maxOpenInterest` is in the quote asset, "0" for no limit. `maxConditionalOrders` is there if it has conditional orders.
    """

    id: str
    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    min_quantity: str
    max_quantity: str
    min_notional: str
    price_band: str
    take_bound: str
    max_open_orders: int
    max_leverage: int
    initial_margin_rate: str
    maintenance_margin_rate: str
    risk_tiers: list[RiskTierView]
    max_open_interest: str
    maker_fee_rate: str
    taker_fee_rate: str
    funding_interval_hours: int
    funding_rate_cap: str
    reference_price: str
    index_price: str
    mark_price: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: TimeText | None
    status: MarketStatus
    rules: int
    max_conditional_orders: int | None = None


class FundingPaymentView(View, frozen=True):
    """The funding that a position paid (negative `amount`) or received; `time` is the end of the funding interval."""

    market_id: str
    side: str
    quantity: str
    mark_price: str
    rate: str
    amount: str
    event_id: str
    time: TimeText


class FundingView(View, frozen=True):
    """One funding of a market: the rate, and the values it was computed from. `isVoid`: the interval's end was missed or had no mark."""

    time: TimeText
    rate: str
    mean_premium: str
    mark_price: str
    index_price: str
    is_void: bool
    event_id: str


class MarketFundingView(View, frozen=True):
    """The current funding of a market, and a page of its history, newest first."""

    market_id: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: TimeText | None
    index_price: str
    mark_price: str
    data: list[FundingView]
    next_cursor: str | None
