"""The preview of an order: decided like a submission, on one read without a lock; nothing is written."""

from collections.abc import Mapping
from typing import NamedTuple

from exchange.risk.account import MarginAccount
from exchange.risk.admission import Admitted, admit
from exchange.risk.margin import available_margin, requirement_and_equity, total_requirement
from exchange.risk.order_draft import parse_order
from schemas.refusals import ErrorCode, Refused
from schemas.rest.order_groups import PreviewView, RefusalView
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp, format_micros
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.queries.formatting import price_text
from store.session.connect import Session
from store.submission.pending_cancels import explained_refusal
from store.submission.reading import read_unlocked


class PreviewWish(NamedTuple):
    """A request for a preview: the user, the order, the time and the load."""

    user: int
    request: OrderRequest
    now: Timestamp
    load: Mapping[str, MarketLoad]


async def preview_order(session: Session, registry: MarketRegistry, wish: PreviewWish) -> PreviewView | Refused:
    """The answer that the order would get now; UNAUTHENTICATED when there is no such user. Its client id is not looked up."""
    draft = parse_order(wish.request)
    if isinstance(draft, Refused):
        return _refusal(draft)
    reading = await read_unlocked(session, registry, wish.user, wish.load)
    account = reading.accounts.get(wish.user)
    if account is None:
        return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
    admitted = admit(draft, account, reading.markets, wish.now)
    if isinstance(admitted, Refused):
        return _refusal(await explained_refusal(session, wish.user, admitted))
    return _view(account, admitted)


def _view(account: MarginAccount, admitted: Admitted) -> PreviewView:
    order, spec = admitted.command, admitted.risk.market.spec
    after = account.having(admitted.risk)
    required, owned = requirement_and_equity(after)
    return PreviewView(
        is_accepted=True,
        refusal=None,
        price=price_text(spec, order.price),
        notional=format_micros(spec.notional(order.price, order.quantity)),
        margin_required=format_micros(required),
        margin_added=format_micros(required - total_requirement(account)),
        equity=format_micros(owned),
        available_margin=format_micros(available_margin(after)),
        fee_max=format_micros(order.fee_per_lot * order.quantity),
    )


def _refusal(refused: Refused) -> PreviewView:
    why = RefusalView(refused.code, refused.message, refused.details)
    return PreviewView(False, why, None, None, None, None, None, None, None)
