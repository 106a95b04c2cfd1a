"""What an order would be answered: decided like a submission, on one read without a lock, and nothing is written."""

from collections.abc import Mapping
from typing import NamedTuple

from exchange.risk.admission import Account, Admitted, admit
from exchange.risk.margin import available_margin, requirement_and_equity, total_requirement
from exchange.risk.order_draft import read_order
from schemas.refusals import ErrorCode, Refused
from schemas.rest.order_groups import PreviewView, RefusalView
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp, format_micros
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.queries.formatting import price_text
from store.session.connect import Session
from store.submission.reading import Reading, holdings_of, reading_of

# The columns of lock_submission, in its order.
_READ = """
SELECT 'market' AS kind, NULL::int8 AS user_id, m.market_id, m.status, m.mark, m.is_frozen, NULL::int8 AS wallet,
  NULL::int8 AS liquidation_id, 0::int8 AS lots, 0::int8 AS cost, 0 AS leverage, 0::int8 AS buy_notional,
  0::int8 AS sell_notional, 0::int8 AS open_loss, 0::int8 AS open_fees, 0::int8 AS buy_lots, 0::int8 AS sell_lots,
  0 AS live_orders, NULL::text AS client_order_id, NULL::int8 AS order_id, NULL::bytea AS request_hash,
  NULL::boolean AS is_live, NULL::int8 AS cancel_seq
FROM markets m UNION ALL
SELECT 'account', a.user_id, p.market_id, NULL, NULL, NULL, a.wallet, a.liquidation_id, p.lots, p.cost, p.leverage,
  p.buy_notional, p.sell_notional, p.open_loss, p.open_fees, p.buy_lots, p.sell_lots, p.live_orders,
  NULL, NULL, NULL, NULL, NULL
FROM accounts a LEFT JOIN positions p USING (user_id) WHERE a.user_id = $1
"""


class PreviewWish(NamedTuple):
    """Who asks about which order, when and under what load."""

    user: int
    request: OrderRequest
    now: Timestamp
    load: Mapping[str, MarketLoad]


async def preview_order(session: Session, registry: MarketRegistry, wish: PreviewWish) -> PreviewView | Refused:
    """What the order would be answered now; UNAUTHENTICATED when there is no such user. Its client id is not looked up."""
    draft = read_order(wish.request)
    if isinstance(draft, Refused):
        return _refusal(draft)
    rows = await session.fetch(_READ, wish.user)
    if any(row["market_id"] is not None and row["market_id"] not in registry.by_id for row in rows):
        await registry.refresh(session)
    reading = reading_of(registry, rows, wish.load)
    account = reading.accounts.get(wish.user)
    if account is None:
        return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
    admitted = admit(draft, account, reading.markets, wish.now)
    return _refusal(admitted) if isinstance(admitted, Refused) else _view(reading, account, admitted, wish)


def _view(reading: Reading, account: Account, admitted: Admitted, wish: PreviewWish) -> PreviewView:
    order, spec = admitted.command, reading.markets[wish.request.market_id].spec
    before = holdings_of(reading, account.exposures)
    after = holdings_of(reading, account.exposures | {spec.market: admitted.exposure})
    required, owned = requirement_and_equity(account.wallet, after)
    return PreviewView(
        is_accepted=True,
        refusal=None,
        price=price_text(spec, order.price),
        notional=format_micros(spec.notional(order.price, order.quantity)),
        margin_required=format_micros(required),
        margin_added=format_micros(required - total_requirement(before)),
        equity=format_micros(owned),
        available_margin=format_micros(available_margin(account.wallet, after)),
        fee_max=format_micros(order.fee_per_lot * order.quantity),
    )


def _refusal(refused: Refused) -> PreviewView:
    why = RefusalView(refused.code, refused.message, refused.details)
    return PreviewView(False, why, None, None, None, None, None, None, None)
