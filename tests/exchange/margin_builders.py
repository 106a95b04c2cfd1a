"""Positions, requests and accounts small enough to check in the head."""

from typing import Any

from msgspec.structs import replace

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import Admitted, admit
from exchange.risk.conditional import Surroundings
from exchange.risk.order_draft import parse_order
from schemas.market import RULES_FOURTH, SEED_MARKETS, MarketSpec, MarketStatus
from schemas.orders import OrderType, Side
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Micros, Ticks, Timestamp

BTC, ETH = SEED_MARKETS
USDC = 10**6
NOW = Timestamp(1_800_000_000_000_000)


def btc(price: float) -> Ticks:
    """A BTC price in ticks of 0.1."""
    return Ticks(round(price * 10))


def holding(lots: int, entry: int, mark: int, **sums: Any) -> PositionRisk:
    """A BTC position entered at one price (quote), valued at another."""
    exposure = Exposure(leverage=20, lots=lots, cost=lots * entry * BTC.lot_value * 10, **sums)
    return PositionRisk(terms(mark=btc(mark)), exposure)


def terms(spec: MarketSpec = BTC, status: MarketStatus = MarketStatus.ACTIVE, **more: Any) -> MarketState:
    """What admission knows of a market at its reference price by default."""
    mark = more.pop("mark", spec.mark_of_index(spec.reference_price))
    return MarketState(2 if spec is ETH else 1, spec, status, mark, more.pop("rules", RULES_FOURTH), **more)


def account(wallet: int, **exposures: Exposure) -> MarginAccount:
    """An account with a wallet in micros; exposures by base asset."""
    specs = {"BTC": BTC, "ETH": ETH}
    return owner_of(wallet, *(PositionRisk(terms(specs[base]), exposure) for base, exposure in exposures.items()))


def owner_of(wallet: int, *risks: PositionRisk) -> MarginAccount:
    """An account with a wallet in micros and these positions; two in one market count as two markets."""
    owner = MarginAccount(7, Micros(wallet), {})
    for place, risk in enumerate(risks):
        name = risk.market.spec.market
        owner.exposures[f"{name} {place}" if name in owner.exposures else name] = risk
    return owner


def eth(lots: int, cost: int, leverage: int = 20) -> PositionRisk:
    """An ETH position with a cost (quote), valued at 3,000."""
    return PositionRisk(terms(ETH, mark=Ticks(300_000)), Exposure(leverage, lots, cost * USDC))


def request(quantity: str, price: str | None = None, side: Side = Side.BUY, **more: Any) -> OrderRequest:
    """A BTC order; LIMIT when it has a price, MARKET when not."""
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    more = {"market_id": "BTC-PERP"} | more
    return OrderRequest(side=side, type=order_type, quantity=quantity, price=price, **more)


def waiting(order_type: OrderType, trigger: str | None, side: Side = Side.SELL, **more: Any) -> OrderRequest:
    """A conditional order on BTC; without a quantity it closes the position."""
    more = {"market_id": "BTC-PERP", "close_position": "quantity" not in more} | more
    return OrderRequest(side=side, type=order_type, trigger_price=trigger, **more)


def decide(
    asked: OrderRequest, owner: MarginAccount | None = None, market: MarketState | None = None
) -> Admitted | Refused:
    """Read and admit a request against BTC-PERP and ETH-PERP; what is admitted is written back to the account."""
    draft = parse_order(asked)
    if isinstance(draft, Refused):
        return draft
    owner = owner if owner is not None else account(10_000 * USDC)
    markets = {"BTC-PERP": terms(), "ETH-PERP": terms(ETH)}
    if market is not None:
        markets[market.spec.market] = market
    for name, risk in owner.exposures.items():
        owner.exposures[name] = replace(risk, market=markets[name])
    known = markets.get(asked.market_id) if draft.is_of_conditional_rules else None
    around = None if known is None else Surroundings(known.mark, known.mark)
    answer = admit(draft, owner, markets, NOW, around)
    if isinstance(answer, Admitted):
        owner.exposures[asked.market_id] = answer.risk
    return answer


def admitted(asked: OrderRequest, owner: MarginAccount | None = None, market: MarketState | None = None) -> Admitted:
    """What `decide` admits; AssertionError when it refuses."""
    answer = decide(asked, owner, market)
    assert isinstance(answer, Admitted), answer
    return answer


def refused(asked: OrderRequest, owner: MarginAccount | None = None, market: MarketState | None = None) -> Refused:
    """What `decide` refuses; AssertionError when it admits."""
    answer = decide(asked, owner, market)
    assert isinstance(answer, Refused), answer
    return answer
