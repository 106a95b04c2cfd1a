"""Markets with their rules, their status and their mark."""

from typing import Any

from schemas.market import RULES_FOURTH, MarketStatus
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.markets import MarketView, RiskTierView
from schemas.risk_tiers import RiskTier
from schemas.units import format_e18, format_micros, format_ppm, format_rate_e9
from store.queries.formatting import (
    index_text,
    price_text,
    quantity_text,
    rate_text_or_none,
    spec_of,
    storable,
    time_text_or_none,
)
from store.queries.paging import ListRequest, page_by_name
from store.session.connect import Session

_READ = """
SELECT name, spec::text AS spec, status, index_price, mark, rules, funding_rate, predicted_funding_rate, next_funding_at
FROM markets
"""


async def list_markets(session: Session, request: ListRequest) -> Page[MarketView] | Refused:
    """All markets, by id."""
    rows = await session.fetch(_READ)
    return page_by_name([market_view(row) for row in rows], request, lambda view: view.id)


async def read_market(session: Session, market: str) -> MarketView | None:
    """One market by its id; None when there is none."""
    row = await session.fetchrow(f"{_READ} WHERE name = $1", storable(market))
    return None if row is None else market_view(row)


def market_view(row: Any) -> MarketView:
    """A row of `markets` as the API returns it."""
    spec = spec_of(row["spec"])
    lowest = spec.tiers[0]
    return MarketView(
        id=row["name"],
        symbol=row["name"],
        base_asset=spec.base_asset,
        quote_asset=spec.quote_asset,
        tick_size=format_e18(spec.tick_size_e18),
        lot_size=format_e18(spec.lot_size_e18),
        min_quantity=quantity_text(spec, spec.quantity_min),
        max_quantity=quantity_text(spec, spec.quantity_max),
        min_notional=format_micros(spec.notional_min),
        price_band=format_ppm(spec.price_band),
        take_bound=format_ppm(spec.take_bound),
        max_open_orders=spec.orders_max,
        max_leverage=lowest.leverage_max,
        initial_margin_rate=format_ppm(lowest.initial_margin_rate),
        maintenance_margin_rate=format_ppm(lowest.maintenance_margin_rate),
        risk_tiers=[_tier_view(tier) for tier in spec.tiers],
        max_open_interest=format_micros(spec.open_interest_max),
        maker_fee_rate=format_ppm(spec.maker_fee_rate),
        taker_fee_rate=format_ppm(spec.taker_fee_rate),
        funding_interval_hours=spec.funding_interval_hours,
        funding_rate_cap=format_ppm(spec.funding_rate_cap),
        reference_price=index_text(spec.reference_price),
        index_price=index_text(row["index_price"]),
        mark_price=price_text(spec, row["mark"]),
        funding_rate=format_rate_e9(row["funding_rate"]),
        predicted_funding_rate=rate_text_or_none(row["predicted_funding_rate"]),
        next_funding_time=time_text_or_none(row["next_funding_at"]),
        status=MarketStatus(row["status"]),
        rules=row["rules"],
        max_conditional_orders=spec.conditional_orders_max if row["rules"] >= RULES_FOURTH else None,
    )


def _tier_view(tier: RiskTier) -> RiskTierView:
    return RiskTierView(
        notional_up_to=format_micros(tier.notional_up_to),
        initial_margin_rate=format_ppm(tier.initial_margin_rate),
        maintenance_margin_rate=format_ppm(tier.maintenance_margin_rate),
        max_leverage=tier.leverage_max,
    )
