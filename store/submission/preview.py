"""The preview of an order: decided like a submission, then placed by the engine on the stored book; nothing is written.

Everything is read in one snapshot. The engine runs after it, without the database: `PreviewRun.view` is for a thread.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from exchange.fees import cumulative_fee
from exchange.position import Position, fill
from exchange.preview import Outcome, outcome_of, rebuild
from exchange.risk.account import MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import Admitted, admit
from exchange.risk.margin import available_margin, liquidation_price, requirement_and_equity, total_requirement
from exchange.risk.order_draft import parse_order
from schemas.commands import PlaceConditional, PlaceOrder
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest.order_groups import RefusalView
from schemas.rest.orders import OrderRequest
from schemas.rest.previews import OutcomeView, PositionAfterView, PreviewView, PriceFillView
from schemas.units import Micros, Timestamp, format_micros
from schemas.wire import RULES_VERSION
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.queries.formatting import average_price_text, price_text, quantity_text, side_text
from store.session.connect import Session
from store.submission.conditional_reading import read_conditional
from store.submission.pending_cancels import explained_refusal
from store.submission.reachable_book import ReachableBook, StoredMoment, market_at, read_moment, read_reachable
from store.submission.reading import read_unlocked


class PreviewWish(NamedTuple):
    """A request for a preview: the user, the order, the time and the load."""

    user: int
    request: OrderRequest
    now: Timestamp
    load: Mapping[str, MarketLoad]


class PreviewRun(NamedTuple):
    """An admitted order, and what the engine needs to place it; no book where this code does not know the market's rules."""

    account: MarginAccount
    admitted: Admitted
    order: PlaceOrder
    moment: StoredMoment
    book: ReachableBook | None

    def view(self) -> PreviewView:
        """Place the order on the stored book, and say what becomes of it and of the account."""
        order, spec = self.order, self.admitted.risk.market.spec
        after = self.account.having(self.admitted.risk)
        required, owned = requirement_and_equity(after)
        return PreviewView(
            is_accepted=True,
            refusal=None,
            price=price_text(spec, order.price),
            notional=format_micros(spec.notional(order.price, order.quantity)),
            margin_required=format_micros(required),
            margin_added=format_micros(required - total_requirement(self.account)),
            equity=format_micros(owned),
            available_margin=format_micros(available_margin(after)),
            fee_max=format_micros(order.fee_per_lot * order.quantity),
            command_sequence=self.moment.command_seq,
            outcome=None if self.book is None else self._outcome(self.book),
        )

    def _outcome(self, book: ReachableBook) -> OutcomeView:
        market = rebuild(market_at(self.admitted.risk.market, self.moment), book.positions, book.orders)
        command = replace(self.order, at=self.moment.clock)
        outcome = outcome_of(market, command, book.makers if book.is_truncated else None)
        return _outcome_view(self.account, self.admitted.risk, command, outcome)


async def preview_order(
    session: Session, registry: MarketRegistry, wish: PreviewWish
) -> PreviewRun | PreviewView | Refused:
    """Read what decides the order, or the refusal that it would get now; UNAUTHENTICATED when there is no such user.

    Its client id is not looked up.
    """
    draft = parse_order(wish.request)
    if isinstance(draft, Refused):
        return _refusal(draft, None)
    async with session.transaction(isolation="repeatable_read", readonly=True):
        reading = await read_unlocked(session, registry, wish.user, wish.load)
        account = reading.accounts.get(wish.user)
        if account is None:
            return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
        conditional = await read_conditional(session, [(wish.user, draft)])
        admitted = admit(draft, account, reading.markets, wish.now, conditional.around(wish.user, draft))
        if isinstance(admitted, Refused):
            refused = await explained_refusal(session, wish.user, admitted)
            market = reading.markets.get(wish.request.market_id)
            moment = None if market is None else await read_moment(session, market.market_id, wish.now)
            return _refusal(refused, moment)
        return await _read_run(session, account, admitted, wish.now)


async def _read_run(
    session: Session, account: MarginAccount, admitted: Admitted, now: Timestamp
) -> PreviewRun | PreviewView:
    market, order = admitted.risk.market, admitted.command
    moment = await read_moment(session, market.market_id, now)
    if isinstance(order, PlaceConditional):
        return _waiting(account, admitted, order, moment)
    if moment.rules > RULES_VERSION:
        return PreviewRun(account, admitted, order, moment, None)
    book = await read_reachable(session, market, moment, order, _position(account, market))
    return PreviewRun(account, admitted, order, moment, book)


def _waiting(account: MarginAccount, admitted: Admitted, order: PlaceConditional, moment: StoredMoment) -> PreviewView:
    """A conditional order waits: what it needs now, and no outcome, because its price and its margin are those of its trigger."""
    spec, after = admitted.risk.market.spec, account.having(admitted.risk)
    required, owned = requirement_and_equity(after)
    return PreviewView(
        is_accepted=True,
        refusal=None,
        price=price_text(spec, order.price) if order.price else None,
        notional=format_micros(spec.notional(order.price, order.quantity)) if order.price else None,
        margin_required=format_micros(required),
        margin_added=format_micros(required - total_requirement(account)),
        equity=format_micros(owned),
        available_margin=format_micros(available_margin(after)),
        fee_max=None,
        command_sequence=moment.command_seq,
        outcome=None,
    )


def _position(account: MarginAccount, market: MarketState) -> Position:
    exposure = account.risk_in(market).exposure
    return Position(exposure.lots, Micros(exposure.cost))


def _refusal(refused: Refused, moment: StoredMoment | None) -> PreviewView:
    return PreviewView(
        is_accepted=False,
        refusal=RefusalView(refused.code, refused.message, refused.details),
        price=None,
        notional=None,
        margin_required=None,
        margin_added=None,
        equity=None,
        available_margin=None,
        fee_max=None,
        command_sequence=None if moment is None else moment.command_seq,
        outcome=None,
    )


def _outcome_view(account: MarginAccount, risk: PositionRisk, order: PlaceOrder, outcome: Outcome) -> OutcomeView:
    spec, filled = risk.market.spec, sum(outcome.fills.values())
    best = outcome.best_opposite
    return OutcomeView(
        status=outcome.status,
        reason=outcome.reason,
        is_truncated=outcome.status is None,
        filled_quantity=quantity_text(spec, filled),
        remaining_quantity=quantity_text(spec, outcome.remaining),
        cut_quantity=quantity_text(spec, outcome.cut),
        average_price=average_price_text(spec, outcome.notional, filled),
        best_opposite_price=None if best is None else price_text(spec, best),
        fills=[
            PriceFillView(price_text(spec, price), quantity_text(spec, lots)) for price, lots in outcome.fills.items()
        ],
        fee=format_micros(outcome.fee),
        realized_pnl=format_micros(outcome.realized),
        position=_position_view(account, risk, outcome.position, outcome.realized - outcome.fee),
        position_if_filled=_position_if_filled(account, risk, order, outcome),
    )


def _position_if_filled(
    account: MarginAccount, risk: PositionRisk, order: PlaceOrder, outcome: Outcome
) -> PositionAfterView | None:
    """The position once what rests of the order has filled too, at its price, as a maker; None where nothing rests."""
    if outcome.status not in {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}:
        return None
    spec, position, sign = risk.market.spec, replace(outcome.position), order.side.sign
    notional = spec.notional(order.price, outcome.remaining)
    realized = fill(position, sign * outcome.remaining, sign * notional, 0)
    gained = outcome.realized + realized - outcome.fee - cumulative_fee(notional, spec.maker_fee_rate)
    return _position_view(account, risk, position, gained)


def _position_view(
    account: MarginAccount, risk: PositionRisk, position: Position, gained: int
) -> PositionAfterView | None:
    """A position as `GET /positions` would show it at the same marks, in a wallet with this much more; None for a flat one."""
    spec = risk.market.spec
    if not position.lots:
        return None
    after = account.having(PositionRisk(risk.market, replace(risk.exposure, lots=position.lots, cost=position.cost)))
    after.wallet = Micros(after.wallet + gained)
    price = liquidation_price(after, spec.market)
    return PositionAfterView(
        side=side_text(position.lots),
        quantity=quantity_text(spec, abs(position.lots)),
        entry_price=average_price_text(spec, abs(position.cost), abs(position.lots)) or "0",
        liquidation_price=None if price is None else price_text(spec, price),
    )
