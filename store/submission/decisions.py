"""Decides a batch: each request in turn, cancels first, each with the earlier decisions applied.

No I/O; it updates the accounts of the batch state as it decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from exchange.risk.account import Exposure, PositionRisk
from exchange.risk.admission import Admitted, admit
from exchange.risk.amending import admit_amend
from schemas.commands import CancelOrder, PlaceConditional, PlaceOrder
from schemas.ids import public_command_id, public_id_of_order_or_none, public_order_id, seq_of_order_key
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import NotOpen
from schemas.units import Timestamp
from store.markets.registry import MarketRegistry
from store.queries.formatting import quantity_text
from store.submission.amended_orders import AmendTarget, AmendWish, NewAmend, why_never
from store.submission.pending_cancels import is_short_of_margin
from store.submission.reading import BatchState, OrderState, ParsedRequest, Wish, key_of
from store.submission.requests import (
    AmendPlaced,
    CancelPlaced,
    Placed,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitCancel,
)


class NewOrder(NamedTuple):
    """An order to insert: command `number` of its market within this batch.

    `take_profit` and `stop_loss` are the numbers of the orders attached to it, which come right before.
    """

    market_id: int
    number: int
    command: PlaceOrder | PlaceConditional
    leverage: int | None = None
    hash: bytes | None = None
    max_slippage: int | None = None
    take_profit: int | None = None
    stop_loss: int | None = None


class NewCancel(NamedTuple):
    """A cancel to write: command `number` of its market within this batch; `order` is the database key."""

    market_id: int
    number: int
    command: CancelOrder
    order: int


class ExposureChange(NamedTuple):
    """What a batch adds to the margin sums of one account in one market, and the leverage after it."""

    user: int
    market_id: int
    leverage: int
    buy_notional: int
    sell_notional: int
    open_loss: int
    open_fees: int
    buy_lots: int
    sell_lots: int
    live_orders: int


class DuplicateOrder(NamedTuple):
    """A client id repeated within the batch, with the same body as its first order."""

    first: NewOrder


class RefusedCancel(NamedTuple):
    """A cancel, or an amend, of an order that is not open: it has ended, or a cancel or amend of it is under way (`cancel`), an
    earlier command or one of this batch."""

    order: int
    market_id: int
    reason: NotOpen
    cancel: int | NewCancel | NewAmend | None = None


class Decisions:
    """The decisions on a batch: an outcome for every request, in order, and the rows to write."""

    def __init__(
        self,
        registry: MarketRegistry,
        reading: BatchState,
        batch: Sequence[SubmissionRequest],
        wishes: Sequence[Wish],
        now: Timestamp,
    ) -> None:
        self.orders: list[NewOrder] = []
        self.cancels: list[NewCancel] = []
        self.amends: list[NewAmend] = []
        self.placed: list[NewOrder | NewAmend] = []
        self.counts: dict[int, int] = {}
        self._registry, self._reading, self._now = registry, reading, now
        self._before: dict[tuple[int, str], Exposure] = {}
        self._first: dict[tuple[int, str], NewOrder] = {}
        self._cancelled: dict[int, NewCancel] = {}
        self._amended: dict[int, NewAmend] = {}
        outcomes: dict[int, Decision] = {}
        for place, request in enumerate(batch):
            if isinstance(request, SubmitCancel):
                outcomes[place] = self._cancel(request)
        for place, wish in enumerate(wishes):
            match wish:
                case ParsedRequest():
                    outcomes[place] = self._order(batch[place].user, wish)
                case AmendWish():
                    outcomes[place] = self._amend(batch[place].user, wish)
                case Refused():
                    outcomes[place] = wish
                case None:
                    pass
        self._outcomes = [outcomes[place] for place in range(len(batch))]
        self._users = [request.user for request in batch]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.counts

    def short_of_margin(self) -> set[int]:
        """The users with a request that is refused for the margin."""
        requests = zip(self._users, self._outcomes, strict=True)
        return {user for user, outcome in requests if is_short_of_margin(outcome)}

    def exposure_changes(self) -> Iterator[ExposureChange]:
        """The margin sums to add, one row per account and market."""
        for (user, market), before in self._before.items():
            after = self._reading.accounts[user].exposures[market].exposure
            yield ExposureChange(
                user,
                self._reading.markets[market].market_id,
                after.leverage,
                after.buy_notional - before.buy_notional,
                after.sell_notional - before.sell_notional,
                after.open_loss - before.open_loss,
                after.open_fees - before.open_fees,
                after.buy_lots - before.buy_lots,
                after.sell_lots - before.sell_lots,
                after.live_orders - before.live_orders,
            )

    @property
    def not_open(self) -> list[int]:
        """The database keys of the orders whose cancels or amends are refused; `answers` needs their states."""
        return [outcome.order for outcome in self._outcomes if isinstance(outcome, RefusedCancel)]

    def answers(self, bases: dict[int, int], states: Mapping[int, OrderState]) -> list[SubmissionOutcome]:
        """The answer to every request; `bases` is the last command of each market before the batch."""
        return [self._answer(outcome, bases, states) for outcome in self._outcomes]

    def _cancel(self, request: SubmitCancel) -> NewCancel | RefusedCancel | SubmissionOutcome:
        order = key_of(self._registry, request.order_id)
        target = self._reading.targets.get(order) if order is not None else None
        if order is None or target is None or target.user != request.user:
            return Refused(ErrorCode.ORDER_NOT_FOUND, "no such order", {"orderId": request.order_id})
        if not target.is_open:
            return RefusedCancel(order, target.market_id, NotOpen.ENDED)
        under_way = target.cancel_seq if target.cancel_seq is not None else self._cancelled.get(order)
        if under_way is not None:
            return RefusedCancel(order, target.market_id, NotOpen.CANCEL_PENDING, under_way)
        command = CancelOrder(self._now, request.user, seq_of_order_key(order))
        cancel = NewCancel(target.market_id, self._next_number(target.market_id), command, order)
        self.cancels.append(cancel)
        self._cancelled[order] = cancel
        return cancel

    def _amend(self, user: int, wish: AmendWish) -> NewAmend | RefusedCancel | SubmissionOutcome:
        order = key_of(self._registry, wish.order_id)
        target = self._reading.amended.get(order) if order is not None else None
        account = self._reading.accounts.get(user)
        if order is None or target is None or target.user != user or account is None:
            return Refused(ErrorCode.ORDER_NOT_FOUND, "no such order", {"orderId": wish.order_id})
        if (closed := self._not_amendable(order, target)) is not None:
            return closed
        market = self._reading.markets[target.order.market]
        if (never := why_never(target, wish.order_id, market.spec.market)) is not None:
            return never
        admitted = admit_amend(wish.amend, target.order, account, self._reading.markets, self._now)
        if isinstance(admitted, Refused):
            return admitted
        self._hold(user, admitted.risk)
        number = self._next_number(target.market_id)
        amend = NewAmend(target.market_id, number, order, target.order.terms, admitted)
        self.amends.append(amend)
        self.placed.append(amend)
        self._amended[order] = amend
        return amend

    def _not_amendable(self, order: int, target: AmendTarget) -> RefusedCancel | None:
        """Why the order cannot be amended now: it has ended, or a cancel or an amend of it is under way."""
        if not target.is_open:
            return RefusedCancel(order, target.market_id, NotOpen.ENDED)
        if (cancel := target.cancel_seq or self._cancelled.get(order)) is not None:
            return RefusedCancel(order, target.market_id, NotOpen.CANCEL_PENDING, cancel)
        if (amend := target.amend_seq or self._amended.get(order)) is not None:
            return RefusedCancel(order, target.market_id, NotOpen.AMEND_PENDING, amend)
        return None

    def _hold(self, user: int, risk: PositionRisk) -> None:
        """Let the account have this exposure from now on; what it had before the batch is kept for the sums to write."""
        account, market = self._reading.accounts[user], risk.market
        self._before.setdefault((user, market.spec.market), account.risk_in(market).exposure)
        account.exposures[market.spec.market] = risk

    def _order(self, user: int, wish: ParsedRequest) -> NewOrder | DuplicateOrder | SubmissionOutcome:
        client_id = wish.draft.request.client_order_id
        if client_id and (repeated := self._repeated(user, client_id, wish.hash)):
            return repeated
        account = self._reading.accounts.get(user)
        if account is None:
            return Refused(ErrorCode.UNAUTHENTICATED, "the token names a user that is not here")
        conditional = self._reading.conditional
        admitted = admit(wish.draft, account, self._reading.markets, self._now, conditional.around(user, wish.draft))
        if isinstance(admitted, Refused):
            return admitted
        market = admitted.risk.market
        self._hold(user, admitted.risk)
        conditional.join(user, wish.draft)
        order = self._new_order(market.market_id, admitted, wish)
        if client_id:
            self._first[user, client_id] = order
        return order

    def _new_order(self, market_id: int, admitted: Admitted, wish: ParsedRequest) -> NewOrder:
        """Number the attached orders, then the order itself."""
        legs = [NewOrder(market_id, self._next_number(market_id), leg) for leg in admitted.legs]
        attached = {leg.field: order.number for leg, order in zip(wish.draft.legs, legs, strict=True)}
        order = NewOrder(
            market_id,
            self._next_number(market_id),
            admitted.command,
            wish.draft.request.leverage,
            wish.hash,
            wish.draft.max_slippage,
            take_profit=attached.get("takeProfit"),
            stop_loss=attached.get("stopLoss"),
        )
        self.orders += [*legs, order]
        self.placed += [*legs, order]
        return order

    def _repeated(
        self, user: int, client_id: str, body_hash: bytes | None
    ) -> DuplicateOrder | SubmissionOutcome | None:
        """The answer to a client id already in use: its first order, or 409 when the body differs; None when it is free."""
        stored = self._reading.first_orders.get((user, client_id))
        earlier = self._first.get((user, client_id))
        if stored is None and earlier is None:
            return None
        if body_hash != (stored.hash if stored else earlier.hash if earlier else None):
            details = {"clientOrderId": client_id}
            return Refused(ErrorCode.DUPLICATE_CLIENT_ORDER_ID, "the client id belongs to another order", {**details})
        if stored is None:
            return DuplicateOrder(earlier) if earlier else None
        market, seq = self._registry.by_id[stored.market_id].name, seq_of_order_key(stored.order)
        return Placed(
            public_order_id(market, seq),
            public_command_id(market, seq),
            stored.status,
            is_replay=True,
            take_profit_order_id=public_id_of_order_or_none(market, stored.take_profit),
            stop_loss_order_id=public_id_of_order_or_none(market, stored.stop_loss),
        )

    def _next_number(self, market_id: int) -> int:
        self.counts[market_id] = self.counts.get(market_id, 0) + 1
        return self.counts[market_id]

    def _answer(
        self, outcome: "Decision", bases: dict[int, int], states: Mapping[int, OrderState]
    ) -> SubmissionOutcome:
        match outcome:
            case NewOrder():
                return self._placed(outcome, bases, is_replay=False)
            case DuplicateOrder():
                return self._placed(outcome.first, bases, is_replay=True)
            case NewCancel():
                market = self._registry.by_id[outcome.market_id].name
                command_id = public_command_id(market, bases[outcome.market_id] + outcome.number)
                return CancelPlaced(public_order_id(market, outcome.command.order), command_id)
            case NewAmend():
                market = self._registry.by_id[outcome.market_id].name
                command_id = public_command_id(market, bases[outcome.market_id] + outcome.number)
                return AmendPlaced(public_order_id(market, outcome.command.order), command_id)
            case RefusedCancel():
                return self._not_open(outcome, bases, states[outcome.order])
            case _:
                return outcome

    def _not_open(self, refused: RefusedCancel, bases: dict[int, int], state: OrderState) -> Refused:
        market, spec = self._registry.by_id[refused.market_id].name, self._registry.by_id[refused.market_id].spec
        cancel = refused.cancel
        seq = bases[cancel.market_id] + cancel.number if isinstance(cancel, NewCancel | NewAmend) else cancel
        details: dict[str, str | int | bool | list[str] | None] = {
            "orderId": public_order_id(market, seq_of_order_key(refused.order)),
            "reason": refused.reason,
            "status": state.status,
            "filledQuantity": quantity_text(spec, state.filled_lots),
        }
        if seq is None:
            return Refused(ErrorCode.ORDER_NOT_OPEN, "the order has ended", details)
        details["commandId"] = public_command_id(market, seq)
        doing = "amended" if refused.reason is NotOpen.AMEND_PENDING else "cancelled"
        return Refused(ErrorCode.ORDER_NOT_OPEN, f"the order is already being {doing}", details)

    def _placed(self, order: NewOrder, bases: dict[int, int], *, is_replay: bool) -> Placed:
        market, base = self._registry.by_id[order.market_id].name, bases[order.market_id]
        seq = base + order.number
        return Placed(
            public_order_id(market, seq),
            public_command_id(market, seq),
            OrderStatus.PENDING,
            is_replay,
            take_profit_order_id=None
            if order.take_profit is None
            else public_order_id(market, base + order.take_profit),
            stop_loss_order_id=None if order.stop_loss is None else public_order_id(market, base + order.stop_loss),
        )


Decision = NewOrder | NewCancel | NewAmend | DuplicateOrder | RefusedCancel | SubmissionOutcome
"""What is decided about a request, before the sequences of its commands are known."""
