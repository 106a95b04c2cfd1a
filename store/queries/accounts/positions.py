"""Open positions, valued at mark; flat ones are omitted."""

from typing import NamedTuple

from exchange.risk.account import Exposure, MarginAccount, PositionRisk
from exchange.risk.margin import liquidation_price, maintenance, requirement, unrealized_pnl
from schemas.market import MarketSpec
from schemas.refusals import Refused
from schemas.rest.accounts import PositionView
from schemas.rest.bodies import Page
from schemas.units import Timestamp, format_micros, format_timestamp
from store.margin_accounts import read_account
from store.queries.accounts.adl import AdlRanks
from store.queries.formatting import average_price_text, price_text, quantity_text, side_text, spec_of, storable
from store.queries.paging import ListRequest, page_by_name
from store.session.connect import Session

_LOTS = """
SELECT m.spec::text AS spec, coalesce(p.lots, 0) AS lots FROM markets m
LEFT JOIN positions p ON p.user_id = $1 AND p.market_id = m.market_id WHERE m.name = $2
"""


class Ranking(NamedTuple):
    """The source of the ADL ranks of a list, and the current time, by which their age counts."""

    ranks: AdlRanks
    now: Timestamp


async def list_positions(
    session: Session, user: int, request: ListRequest, ranking: Ranking
) -> Page[PositionView] | Refused:
    """The open positions of a user, by market id; periods do not filter them, because they are current."""
    account = await read_account(session, user)
    open_ = [] if account is None else account.positions
    ranks = await ranking.ranks.of(session, ranking.now, [(user, risk.market.spec.market) for risk in open_])
    views = [_view(account, risk, ranks[user, risk.market.spec.market]) for risk in open_] if account else []
    return page_by_name(views, request, lambda view: view.market_id)


async def read_position_lots(session: Session, user: int, market: str) -> tuple[MarketSpec, int] | None:
    """A market's rules and the signed lots that a user holds there, 0 when flat; None where there is no such market."""
    row = await session.fetchrow(_LOTS, user, storable(market))
    return None if row is None else (spec_of(row["spec"]), row["lots"])


def _view(account: MarginAccount, risk: PositionRisk, rank: int) -> PositionView:
    spec, mark, exposure = risk.market.spec, risk.market.mark, risk.exposure
    bare = Exposure(leverage=exposure.leverage, lots=exposure.lots, cost=exposure.cost)
    return PositionView(
        market_id=spec.market,
        side=side_text(exposure.lots),
        quantity=quantity_text(spec, abs(exposure.lots)),
        entry_price=average_price_text(spec, abs(exposure.cost), abs(exposure.lots)) or "0",
        mark_price=price_text(spec, mark),
        unrealized_pnl=format_micros(unrealized_pnl(spec, exposure, mark)),
        realized_pnl=format_micros(risk.realized),
        leverage=exposure.leverage,
        leverage_since=None if risk.leverage_set_at is None else format_timestamp(risk.leverage_set_at),
        liquidation_price=_liquidation_price(account, spec),
        initial_margin=format_micros(requirement(spec, bare, mark)),
        maintenance_margin=format_micros(maintenance(spec, exposure, mark)),
        adl_rank=rank,
    )


def _liquidation_price(account: MarginAccount, spec: MarketSpec) -> str | None:
    price = liquidation_price(account, spec.market)
    return None if price is None else price_text(spec, price)
