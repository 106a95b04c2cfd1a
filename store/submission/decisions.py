"""Decides a batch: each request in turn, cancels first, each with the earlier decisions applied.

No I/O; it updates the accounts of the batch state as it decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import Admitted, admit
from exchange.risk.amending import AdmittedAmend, RestingOrder, admit_amend
from exchange.risk.amending_waiting import SurroundedMarket, WaitingOrder, admit_waiting_amend
from schemas.commands import CancelOrder, CancelOrders, PlaceConditional, PlaceOrder, SetCountdown
from schemas.ids import public_command_id, public_id_of_order_or_none, public_order_id, seq_of_order_key
from schemas.market import RULES_FOURTH
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import NotOpen
from schemas.units import MILLISECOND_US, Timestamp
from store.markets.registry import MarketRegistry
from store.queries.formatting import quantity_text
from store.submission.amended_orders import AmendTarget, AmendWish, NewAmend, why_never
from store.submission.countdowns import markets_of_countdown
from store.submission.pending_cancels import is_short_of_margin
from store.submission.reading import BatchState, LiveOrder, OrderState, ParsedRequest, Wish, key_of
from store.submission.requests import (
    AmendPlaced,
    Answers,
    CancelPlaced,
    CountdownSet,
    CountdownsSet,
    OneOutcome,
    PartRequest,
    Placed,
    SubmissionOutcome,
    SubmitCancel,
    SubmitCancelAll,
    SubmitCountdown,
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
    """A cancel or a countdown to write: command `number` of its market within this batch; `orders` are the database keys of those
    that had no cancel under way."""

    market_id: int
    number: int
    command: CancelOrder | CancelOrders | SetCountdown
    orders: tuple[int, ...] = ()


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


class PendingCancel(NamedTuple):
    """A cancel of `order`, its database key, is under way: an earlier command, or one of this batch."""

    order: int
    market_id: int
    cancel: int | NewCancel


class AllCancelled(NamedTuple):
    """The cancels of a cancel-all, oldest order first."""

    cancels: tuple[PendingCancel, ...]


class NewCountdowns(NamedTuple):
    """The commands of a countdown, one for each of its markets."""

    commands: tuple[NewCancel, ...]
    countdown_ms: int


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
        batch: Sequence[PartRequest],
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
            elif isinstance(request, SubmitCancelAll):
                outcomes[place] = self._cancel_all(request)
            elif isinstance(request, SubmitCountdown):
                outcomes[place] = self._countdown(request)
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

    def _cancel(self, request: SubmitCancel) -> PendingCancel | RefusedCancel | OneOutcome:
        order = key_of(self._registry, request.order_id)
        target = self._reading.targets.get(order) if order is not None else None
        if order is None or target is None or target.user != request.user:
            return Refused(ErrorCode.ORDER_NOT_FOUND, "no such order", {"orderId": request.order_id})
        if not target.is_open:
            return RefusedCancel(order, target.market_id, NotOpen.ENDED)
        under_way = self._under_way(order, target.cancel_seq)
        if under_way is not None:
            return RefusedCancel(order, target.market_id, NotOpen.CANCEL_PENDING, under_way)
        command = CancelOrder(self._now, request.user, seq_of_order_key(order))
        return PendingCancel(order, target.market_id, self._write(target.market_id, command, (order,)))

    def _cancel_all(self, request: SubmitCancelAll) -> AllCancelled | Refused:
        """One command for each market, with all live orders there; none where each of them has a cancel under way already."""
        if request.market is not None and request.market not in self._registry.by_name:
            return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": request.market})
        found = [
            live
            for live in self._reading.live.get(request.user, ())
            if request.market in (None, self._registry.by_id[live.market_id].name) and request.side in (None, live.side)
        ]
        for market_id, of_market in groupby(found, key=attrgetter("market_id")):
            self._cancel_in(request.user, market_id, list(of_market))
        return AllCancelled(
            tuple(
                PendingCancel(live.order, live.market_id, cancel)
                for live in found
                if (cancel := self._under_way(live.order, live.cancel_seq)) is not None
            )
        )

    def _cancel_in(self, user: int, market_id: int, found: Sequence[LiveOrder]) -> None:
        fresh = tuple(live.order for live in found if self._under_way(live.order, live.cancel_seq) is None)
        if self._reading.markets[self._registry.by_id[market_id].name].rules < RULES_FOURTH:
            for order in fresh:
                self._write(market_id, CancelOrder(self._now, user, seq_of_order_key(order)), (order,))
        elif fresh:
            numbers = tuple(seq_of_order_key(live.order) for live in found)
            self._write(market_id, CancelOrders(self._now, user, numbers), fresh)

    def _countdown(self, request: SubmitCountdown) -> NewCountdowns | Refused:
        markets = markets_of_countdown(request, self._reading)
        if isinstance(markets, Refused):
            return markets
        command = SetCountdown(self._now, request.user, request.countdown_ms, request.scope)
        return NewCountdowns(tuple(self._write(market_id, command) for market_id in markets), request.countdown_ms)

    def _under_way(self, order: int, cancel_seq: int | None) -> int | NewCancel | None:
        """What cancels the order already: a stored command, or one of this batch."""
        return cancel_seq if cancel_seq is not None else self._cancelled.get(order)

    def _write(
        self, market_id: int, command: CancelOrder | CancelOrders | SetCountdown, orders: tuple[int, ...] = ()
    ) -> NewCancel:
        cancel = NewCancel(market_id, self._next_number(market_id), command, orders)
        self.cancels.append(cancel)
        self._cancelled |= dict.fromkeys(orders, cancel)
        return cancel

    def _amend(self, user: int, wish: AmendWish) -> NewAmend | RefusedCancel | OneOutcome:
        order = key_of(self._registry, wish.order_id)
        target = self._reading.amended.get(order) if order is not None else None
        account = self._reading.accounts.get(user)
        if order is None or target is None or target.user != user or account is None:
            return Refused(ErrorCode.ORDER_NOT_FOUND, "no such order", {"orderId": wish.order_id})
        if (closed := self._not_amendable(order, target)) is not None:
            return closed
        market = self._reading.markets[target.order.market]
        if (never := why_never(target, wish.order_id, market)) is not None:
            return never
        admitted = self._admit(wish, target.order, account, market)
        if isinstance(admitted, Refused):
            return admitted
        self._hold(user, admitted.risk)
        number = self._next_number(target.market_id)
        amend = NewAmend(target.market_id, number, order, target.order.terms, admitted)
        self.amends.append(amend)
        self.placed.append(amend)
        self._amended[order] = amend
        return amend

    def _admit(
        self, wish: AmendWish, order: RestingOrder | WaitingOrder, account: MarginAccount, market: MarketState
    ) -> AdmittedAmend | Refused:
        if isinstance(order, RestingOrder):
            return admit_amend(wish.amend, order, account, self._reading.markets, self._now)
        place = SurroundedMarket(market, self._reading.conditional.markets[order.market])
        return admit_waiting_amend(wish.amend, order, account, place, self._now)

    def _not_amendable(self, order: int, target: AmendTarget) -> RefusedCancel | None:
        """Why the order cannot be amended now: it has ended or triggered, or a cancel or an amend of it, or an amend that judges it, is under way."""
        if not target.is_open:
            return RefusedCancel(order, target.market_id, NotOpen.ENDED)
        if (cancel := self._under_way(order, target.cancel_seq)) is not None:
            return RefusedCancel(order, target.market_id, NotOpen.CANCEL_PENDING, cancel)
        for each, stored in ((order, target.amend_seq), *target.bound.items()):
            if (amend := stored or self._amended.get(each)) is not None:
                return RefusedCancel(order, target.market_id, NotOpen.AMEND_PENDING, amend)
        if target.is_triggered:
            return RefusedCancel(order, target.market_id, NotOpen.TRIGGERED)
        return None

    def _hold(self, user: int, risk: PositionRisk) -> None:
        """Let the account have this exposure from now on; what it had before the batch is kept for the sums to write."""
        account, market = self._reading.accounts[user], risk.market
        self._before.setdefault((user, market.spec.market), account.risk_in(market).exposure)
        account.exposures[market.spec.market] = risk

    def _order(self, user: int, wish: ParsedRequest) -> NewOrder | DuplicateOrder | OneOutcome:
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

    def _repeated(self, user: int, client_id: str, body_hash: bytes | None) -> DuplicateOrder | OneOutcome | None:
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

    def _answer(  # noqa: PLR0911 - one answer for each kind of decision
        self, outcome: "Decision", bases: dict[int, int], states: Mapping[int, OrderState]
    ) -> SubmissionOutcome:
        match outcome:
            case NewOrder():
                return self._placed(outcome, bases, is_replay=False)
            case DuplicateOrder():
                return self._placed(outcome.first, bases, is_replay=True)
            case PendingCancel():
                return self._cancel_placed(outcome, bases)
            case NewAmend():
                market = self._registry.by_id[outcome.market_id].name
                command_id = public_command_id(market, _seq_of(outcome, bases))
                return AmendPlaced(public_order_id(market, outcome.command.order), command_id)
            case AllCancelled():
                return Answers(tuple(self._cancel_placed(cancel, bases) for cancel in outcome.cancels))
            case NewCountdowns():
                return self._countdowns_set(outcome, bases)
            case RefusedCancel():
                return self._not_open(outcome, bases, states[outcome.order])
            case _:
                return outcome

    def _not_open(self, refused: RefusedCancel, bases: dict[int, int], state: OrderState) -> Refused:
        market, spec = self._registry.by_id[refused.market_id].name, self._registry.by_id[refused.market_id].spec
        seq = None if refused.cancel is None else _seq_of(refused.cancel, bases)
        details: dict[str, str | int | bool | list[str] | None] = {
            "orderId": public_order_id(market, seq_of_order_key(refused.order)),
            "reason": refused.reason,
            "status": state.status,
            "filledQuantity": quantity_text(spec, state.filled_lots),
        }
        if seq is None:
            has = "triggered and is not in the book" if refused.reason is NotOpen.TRIGGERED else "ended"
            return Refused(ErrorCode.ORDER_NOT_OPEN, f"the order has {has}", details)
        details["commandId"] = public_command_id(market, seq)
        doing = "amended" if refused.reason is NotOpen.AMEND_PENDING else "cancelled"
        return Refused(ErrorCode.ORDER_NOT_OPEN, f"the order is already being {doing}", details)

    def _cancel_placed(self, pending: PendingCancel, bases: dict[int, int]) -> CancelPlaced:
        market, seq = self._registry.by_id[pending.market_id].name, _seq_of(pending.cancel, bases)
        return CancelPlaced(public_order_id(market, seq_of_order_key(pending.order)), public_command_id(market, seq))

    def _countdowns_set(self, countdowns: NewCountdowns, bases: dict[int, int]) -> CountdownsSet:
        ms = countdowns.countdown_ms
        cancels_at = Timestamp(self._now + ms * MILLISECOND_US) if ms else None
        names = [self._registry.by_id[command.market_id].name for command in countdowns.commands]
        return CountdownsSet(
            tuple(
                CountdownSet(name, public_command_id(name, _seq_of(command, bases)), ms, cancels_at)
                for name, command in zip(names, countdowns.commands, strict=True)
            )
        )

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


def _seq_of(command: int | NewCancel | NewAmend, bases: dict[int, int]) -> int:
    return command if isinstance(command, int) else bases[command.market_id] + command.number


Decision = (
    NewOrder | NewAmend | PendingCancel | AllCancelled | NewCountdowns | DuplicateOrder | RefusedCancel | OneOutcome
)
"""What is decided about a request, before the sequences of its commands are known."""
