"""Open positions, valued at mark; flat ones are omitted."""

from typing import NamedTuple

from exchange.margin import Exposure, Holding, liquidation_price, maintenance, requirement, unrealized_pnl
from schemas.refusals import Refused
from schemas.rest import Page, PositionView
from schemas.units import Timestamp, format_micros
from store.connect import Session
from store.queries.account import AccountState, MarketHolding, read_account
from store.queries.adl import AdlRanks
from store.queries.figures import average_price_text, price_text, quantity_text, side_text
from store.queries.paging import ListRequest, page_by_name


class Ranking(NamedTuple):
    """Where the ranks of a list come from, and the time by which they may be old."""

    ranks: AdlRanks
    now: Timestamp


async def list_positions(
    session: Session, user: int, request: ListRequest, ranking: Ranking
) -> Page[PositionView] | Refused:
    """The open positions of a user, by market id; times do not filter them, they are of now."""
    account = await read_account(session, user)
    open_ = [] if account is None else [market for market in account.markets if market.holding.exposure.lots]
    ranks = await ranking.ranks.of(session, ranking.now, [(user, market.market) for market in open_])
    views = [_view(account, market, ranks[user, market.market]) for market in open_] if account else []
    return page_by_name(views, request, lambda view: view.market_id)


def _view(account: AccountState, market: MarketHolding, rank: int) -> PositionView:
    spec, mark, exposure = market.holding.spec, market.holding.mark, market.holding.exposure
    bare = Exposure(leverage=exposure.leverage, lots=exposure.lots, cost=exposure.cost)
    return PositionView(
        market_id=market.market,
        side=side_text(exposure.lots),
        quantity=quantity_text(spec, abs(exposure.lots)),
        entry_price=average_price_text(spec, abs(exposure.cost), abs(exposure.lots)) or "0",
        mark_price=price_text(spec, mark),
        unrealized_pnl=format_micros(unrealized_pnl(spec, exposure, mark)),
        realized_pnl=format_micros(market.realized),
        leverage=exposure.leverage,
        liquidation_price=_liquidation_price(account, market.holding),
        initial_margin=format_micros(requirement(spec, bare, mark)),
        maintenance_margin=format_micros(maintenance(spec, exposure, mark)),
        adl_rank=rank,
    )


def _liquidation_price(account: AccountState, holding: Holding) -> str | None:
    others = [other for other in account.holdings if other is not holding]
    price = liquidation_price(account.wallet, holding, others)
    return None if price is None else price_text(holding.spec, price)
