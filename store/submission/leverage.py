"""Leverage of an account in one market: set under the account's lock, for position and live orders alike."""

from typing import NamedTuple

from exchange.risk.admission import set_leverage
from exchange.risk.margin import Exposure, available_margin, maintenance, requirement
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LeverageView
from schemas.units import format_micros
from store.markets.registry import MarketRegistry
from store.session.connect import Session
from store.submission.reading import Reading, holdings_of, lock_account

_SET = """
INSERT INTO positions (user_id, market_id, leverage) VALUES ($1, $2, $3)
ON CONFLICT (user_id, market_id) DO UPDATE SET leverage = excluded.leverage
"""


class LeverageWish(NamedTuple):
    """Who wants which leverage where."""

    user: int
    market: str
    leverage: int


async def change_leverage(session: Session, registry: MarketRegistry, wish: LeverageWish) -> LeverageView | Refused:
    """Set it and answer what it means, or refuse, in one transaction.

    Refused: MARKET_NOT_FOUND, INVALID_ORDER (above the market's highest), INSUFFICIENT_MARGIN (lower, and not covered),
    UNAUTHENTICATED (no such user).
    """
    async with session.transaction():
        reading = await lock_account(session, registry, wish.user, {})
        account = reading.accounts.get(wish.user)
        if account is None:
            return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
        after = set_leverage(wish.market, wish.leverage, account, reading.markets)
        if isinstance(after, Refused):
            return after
        await session.execute(_SET, wish.user, reading.markets[wish.market].market_id, after.leverage)
        return _view(reading, wish, after)


def _view(reading: Reading, wish: LeverageWish, after: Exposure) -> LeverageView:
    account, terms = reading.accounts[wish.user], reading.markets[wish.market]
    holdings = holdings_of(reading, account.exposures | {wish.market: after})
    return LeverageView(
        market_id=wish.market,
        leverage=after.leverage,
        max_leverage=terms.spec.leverage_max,
        initial_margin=format_micros(requirement(terms.spec, after, terms.mark)),
        maintenance_margin=format_micros(maintenance(terms.spec, after, terms.mark)),
        available_margin=format_micros(available_margin(account.wallet, holdings)),
    )
