"""Leverage of an account by market: read, and set under the account's lock, for the position and the live orders."""

from typing import NamedTuple

from exchange.risk.account import MarginAccount, PositionRisk
from exchange.risk.admission import set_leverage
from exchange.risk.margin import available_margin, maintenance, requirement
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LeverageView
from schemas.rest.bodies import Page
from schemas.units import format_micros
from store.markets.registry import MarketRegistry
from store.queries.paging import ListRequest, page_by_name
from store.session.connect import Session
from store.submission.pending_cancels import explained_refusal
from store.submission.reading import lock_account, read_unlocked

_SET = """
INSERT INTO positions (user_id, market_id, leverage) VALUES ($1, $2, $3)
ON CONFLICT (user_id, market_id) DO UPDATE SET leverage = excluded.leverage
"""


class LeverageWish(NamedTuple):
    """A request to set a user's leverage in a market."""

    user: int
    market: str
    leverage: int


async def change_leverage(session: Session, registry: MarketRegistry, wish: LeverageWish) -> LeverageView | Refused:
    """Set the leverage and return its effect, or refuse, in one transaction.

    Refused: MARKET_NOT_FOUND, INVALID_ORDER (above the market's maximum), INSUFFICIENT_MARGIN (lower, and not covered),
    UNAUTHENTICATED (no such user).
    """
    async with session.transaction():
        reading = await lock_account(session, registry, wish.user, {})
        account = reading.accounts.get(wish.user)
        if account is None:
            return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
        after = set_leverage(wish.market, wish.leverage, account, reading.markets)
        if isinstance(after, Refused):
            return await explained_refusal(session, wish.user, after)
        await session.execute(_SET, wish.user, after.market.market_id, after.exposure.leverage)
        return _view(account.having(after), after)


async def read_leverages(session: Session, registry: MarketRegistry, user: int) -> list[LeverageView]:
    """The leverage of a user in every market, flat ones included, in one snapshot; empty when there is no such user."""
    reading = await read_unlocked(session, registry, user, {})
    account = reading.accounts.get(user)
    return [] if account is None else [_view(account, account.risk_in(market)) for market in reading.markets.values()]


async def list_leverages(
    session: Session, registry: MarketRegistry, user: int, request: ListRequest
) -> Page[LeverageView] | Refused:
    """A page of the user's leverages, by market id."""
    return page_by_name(await read_leverages(session, registry, user), request, lambda view: view.market_id)


def _view(account: MarginAccount, risk: PositionRisk) -> LeverageView:
    market, exposure = risk.market, risk.exposure
    return LeverageView(
        market_id=market.spec.market,
        leverage=exposure.leverage,
        max_leverage=market.spec.tiers[0].leverage_max,
        initial_margin=format_micros(requirement(market.spec, exposure, market.mark)),
        maintenance_margin=format_micros(maintenance(market.spec, exposure, market.mark)),
        available_margin=format_micros(available_margin(account)),
    )
