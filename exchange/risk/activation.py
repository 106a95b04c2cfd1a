"""The activation of a triggered order that may open a position: band and margin as they are now, for the first and only time.

(docs/semantics.md, "Conditional orders".) An order that the market or the account cannot have now ends.
"""

import msgspec

from exchange.market_status import accepts_order
from exchange.order_terms import margin_terms, protection_price
from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.coverage import with_order
from exchange.risk.margin import requirement_and_equity
from exchange.risk.order_filters import PricedOrder, beyond_band, commitment_breach
from schemas.orders import EndReason, Side
from schemas.units import Lots, Ticks


class TriggeredOrder(msgspec.Struct, frozen=True, gc=False):
    """A triggered order that waits for its margin; `limit` is None of a market type."""

    side: Side
    lots: Lots
    limit: Ticks | None
    post_only: bool


class Activation(msgspec.Struct, frozen=True, gc=False):
    """The order as it enters the book, and the account's exposure in its market with it."""

    order: PricedOrder
    exposure: Exposure


def activation_of(triggered: TriggeredOrder, account: MarginAccount, market: MarketState) -> Activation | EndReason:
    """The order with its margin terms at the mark of now, or why it ends: MARKET_STATUS, PRICE_BAND or MARGIN.

    MARGIN also if the account or the market may not have the position that it could open.
    """
    if not accepts_order(market.status, post_only=triggered.post_only, reduce_only=False):
        return EndReason.MARKET_STATUS
    spec, side, before = market.spec, triggered.side, account.risk_in(market).exposure
    price = triggered.limit or protection_price(market.mark, side, spec.take_bound)
    terms = margin_terms(spec, market.mark, side, price, post_only=triggered.post_only)
    order = PricedOrder(side, triggered.lots, price, *terms)
    if beyond_band(spec, market.mark, order):
        return EndReason.PRICE_BAND
    if account.may_only_reduce or account.is_closing or commitment_breach(market, order, before):
        return EndReason.MARGIN
    after = with_order(spec, before, order, None)
    required, owned = requirement_and_equity(account.having(PositionRisk(market, after)))
    return Activation(order, after) if required <= owned else EndReason.MARGIN
