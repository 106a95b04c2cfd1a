"""An account in one market whose admitted orders are filled, amended and cancelled as a test likes, at a constant mark."""

from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from exchange.fees import fee_of_fill
from exchange.order_terms import margin_terms, not_beyond, protection_price
from exchange.position import Position, fill
from exchange.risk import amending_waiting
from exchange.risk.account import NO_REDUCE_ONLY, NO_WAITING, Exposure, MarginAccount, PositionRisk, ReduceOnlySums
from exchange.risk.activation import Activation, TriggeredOrder, activation_of
from exchange.risk.admission import Admitted
from exchange.risk.amending import AdmittedAmend, ParsedAmend, RestingOrder, admit_amend, parse_amend
from exchange.risk.conditional import Surroundings
from exchange.risk.coverage import with_order
from exchange.risk.margin import equity, initial_margin, requirement_and_equity
from exchange.risk.order_filters import PricedOrder, reduce_only_excess
from schemas.commands import PlaceConditional, PlaceOrder
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.refusals import Refused
from schemas.rest.orders import AmendRequest, OrderRequest
from schemas.units import Lots, Micros, Ticks
from tests.exchange.margin_builders import NOW, decide, terms


@dataclass
class LiveOrder:
    """An accepted order with its present terms, and what has become of it.

    `counted` are the terms that each lot counts with, `excess` is that of the present terms. While an amend is under way it counts
    `added` lots more.
    """

    command: PlaceOrder
    remaining: int
    counted: PricedOrder
    excess: int
    notional: int = 0
    filled: int = 0
    amend: AdmittedAmend | None = None
    added: int = 0

    @property
    def terms(self) -> PricedOrder:
        """Its present terms, with what remains of it."""
        own = self.command
        return PricedOrder(
            side=own.side,
            lots=Lots(self.remaining),
            price=own.price,
            margin_price=own.margin_price,
            loss_per_lot=own.loss_per_lot,
            fee_per_lot=own.fee_per_lot,
            reduce_only=own.reduce_only,
            excess_per_lot=Micros(self.excess),
        )


@dataclass(eq=False)
class WaitingOrder:
    """A conditional order with its present terms that waits, or has fired and waits to be tried again.

    `counted` are the lots that it has in the sums: with those that an amend under way adds, none where it is not reduce-only or closes
    whatever the position is.
    """

    command: PlaceConditional
    remaining: int
    counted: int
    notional: int = 0
    has_fired: bool = False
    amend: AdmittedAmend | None = None


class OneMarket:
    """The account, its live and waiting orders, and what they leave of its margin at `mark` (ticks)."""

    def __init__(self, spec: MarketSpec, owner: MarginAccount, mark: int = 600_000) -> None:
        self.spec, self.owner, self.live, self.waiting = spec, owner, list[LiveOrder](), list[WaitingOrder]()
        self.market = terms(spec, mark=Ticks(mark))

    @property
    def exposure(self) -> Exposure:
        """The account's position and sums."""
        return self.owner.risk_in(self.market).exposure

    @property
    def margin(self) -> int:
        """Equity less requirement, at the mark."""
        required, owned = requirement_and_equity(self.owner.having(PositionRisk(self.market, self.exposure)))
        return owned - required

    @property
    def position_margin(self) -> int:
        """Equity less the initial margin of the position alone, as if all live orders were cancelled."""
        held = self.exposure
        return equity(self.owner) - initial_margin(
            self.spec, held.leverage, abs(self.spec.notional(self.market.mark, held.lots))
        )

    def place(self, asked: OrderRequest) -> LiveOrder | Refused:
        """Admit an order; it is live then."""
        answer = decide(asked, self.owner, self.market)
        if isinstance(answer, Admitted):
            assert isinstance(answer.command, PlaceOrder)
            order = _as_admitted(self.spec, answer.command)
            self.live.append(order)
            return order
        return answer

    def ask_to_amend(self, order: LiveOrder, asked: AmendRequest) -> AdmittedAmend | Refused:
        """Admit an amend of an order; it is under way then."""
        wish, own = parse_amend(asked), order.command
        assert isinstance(wish, ParsedAmend), wish
        resting = RestingOrder(
            number=2,
            market=self.spec.market,
            terms=order.terms,
            filled=order.filled,
            time_in_force=own.time_in_force,
            post_only=own.post_only,
            self_trade_prevention=own.self_trade_prevention,
            amends=0,
        )
        answer = admit_amend(wish, resting, self.owner, {self.spec.market: self.market}, NOW)
        if isinstance(answer, AdmittedAmend):
            self.owner.exposures[self.spec.market] = answer.risk
            order.amend, order.counted, order.added = answer, answer.counted, answer.counted.lots - order.remaining
        return answer

    def judge(self, order: LiveOrder, *, is_done: bool) -> None:
        """The verdict on the amend of a live order: it counts with exactly what it is then, and has ended if that is nothing."""
        amend = order.amend
        assert amend is not None
        self._add(order, -order.remaining - order.added)
        order.amend, order.added = None, 0
        if is_done:
            told = amend.command
            order.remaining += told.added
            order.excess = amend.excess_per_lot
            order.command = replace(
                order.command,
                price=order.command.price if told.price is None else told.price,
                margin_price=told.margin_price,
                loss_per_lot=told.loss_per_lot,
                fee_per_lot=told.fee_per_lot,
            )
        order.counted = order.terms
        if order.remaining > 0:
            self._add(order, order.remaining)
        else:
            self._leave(order)

    def take_on(self, asked: OrderRequest) -> LiveOrder:
        """Admit an order that must be admitted."""
        order = self.place(asked)
        assert isinstance(order, LiveOrder), order
        return order

    def wait_for(self, asked: OrderRequest) -> None:
        """Admit a conditional order, where it is admitted; it waits then."""
        before, answer = self.exposure, decide(asked, self.owner, self.market)
        if isinstance(answer, Admitted):
            command = answer.command
            assert isinstance(command, PlaceConditional)
            self.waiting.append(WaitingOrder(command, command.quantity, self._more_waits(before, command.side)))

    def ask_to_amend_waiting(self, order: WaitingOrder, asked: AmendRequest) -> AdmittedAmend | Refused:
        """Admit an amend of an order that has not fired; it is under way then."""
        wish, own, before = parse_amend(asked), order.command, self.exposure
        assert isinstance(wish, ParsedAmend), wish
        stored = amending_waiting.WaitingOrder(
            number=2,
            market=self.spec.market,
            side=own.side,
            order_type=own.order_type,
            time_in_force=own.time_in_force,
            post_only=own.post_only,
            self_trade_prevention=own.self_trade_prevention,
            reduce_only=own.reduce_only,
            closes_position=own.closes_position,
            remaining=order.remaining,
            price=own.price,
            trigger=own.trigger,
            working_type=own.working_type,
            callback_rate=own.callback_rate,
            activation=own.activation,
            parent_price=None,
            amends=0,
        )
        place = amending_waiting.SurroundedMarket(self.market, Surroundings(self.market.mark, self.market.mark))
        answer = amending_waiting.admit_waiting_amend(wish, stored, self.owner, place, NOW)
        if isinstance(answer, AdmittedAmend):
            self.owner.exposures[self.spec.market] = answer.risk
            order.amend, order.counted = answer, order.counted + self._more_waits(before, own.side)
        return answer

    def judge_waiting(self, order: WaitingOrder, *, is_done: bool) -> None:
        """The verdict on the amend of a waiting order: it counts with exactly what it is then, and has ended if that is nothing."""
        amend, own = order.amend, order.command
        assert amend is not None
        order.amend = None
        if is_done:
            told = amend.command
            order.remaining += told.added
            order.command = replace(
                own,
                price=own.price if told.price is None else told.price,
                trigger=(told.trigger if told.trigger is not UNSET else 0) or own.trigger,
            )
        if order.remaining > 0 or own.closes_position:
            self._count(order)
        else:
            self.drop(order)

    def drop(self, order: WaitingOrder) -> None:
        """The waiting order ends."""
        self.waiting.remove(order)
        self._change_waiting(order, -order.counted, ends=True)

    def fire(self, order: WaitingOrder) -> None:
        """Its condition holds. An amend that is still under way will be refused: what it added counts no more."""
        order.has_fired, order.amend = True, None
        self._count(order)

    def reducible(self, order: WaitingOrder) -> int:
        """The lots that the order may close now."""
        closable = max(0, self.exposure.closable_by(order.command.side))
        return closable if order.command.closes_position else min(order.remaining, closable)

    def protect(self, order: WaitingOrder, lots: int, price: int, rate: int) -> None:
        """The fired market order fills at a price that its protection price allows; what is left waits on."""
        notional, closes = self.spec.notional(price, lots), order.command.closes_position
        fee = fee_of_fill(order.notional, notional, rate)
        order.notional += notional
        left = self.reducible(order) - lots if closes else order.remaining - lots
        self._book(order.command.side.sign * lots, notional, fee)
        if not left:
            self.drop(order)
        elif not closes:
            order.remaining = left
            self._count(order)

    def enter_book(self, order: WaitingOrder) -> None:
        """The fired reduce-only limit order becomes live, at a limit no more aggressive than the protection price."""
        command, mark = order.command, self.market.mark
        price = not_beyond(command.side, command.price, protection_price(mark, command.side, self.spec.take_bound))
        terms_now = margin_terms(self.spec, mark, command.side, price, post_only=command.post_only)
        self.drop(order)
        excess = reduce_only_excess(
            self.spec, command.side, self.spec.notional(terms_now.margin_price, 1), *terms_now[1:]
        )
        priced = PricedOrder(
            command.side, Lots(order.remaining), price, *terms_now, reduce_only=True, excess_per_lot=excess
        )
        self._hold(with_order(self.spec, self.exposure, priced, None))
        self.live.append(_as_admitted(self.spec, _placed(command, priced)))

    def activate(self, order: WaitingOrder) -> None:
        """The fired order that may open a position becomes live with the margin of now, or ends where it is not covered."""
        command = order.command
        limit = command.price if command.order_type.is_limit else None
        self.drop(order)
        triggered = TriggeredOrder(command.side, Lots(order.remaining), limit, command.post_only)
        answer = activation_of(triggered, self.owner, self.market)
        if isinstance(answer, Activation):
            self._hold(answer.exposure)
            self.live.append(_as_admitted(self.spec, _placed(command, answer.order)))

    def _more_waits(self, before: Exposure, side: Side) -> int:
        """The lots that wait on a side and did not before."""
        return self.exposure.waiting.lots(side) - before.waiting.lots(side)

    def _count(self, order: WaitingOrder) -> None:
        """Count a waiting order with exactly what it is."""
        own = order.command
        lots = order.remaining if own.reduce_only and not own.closes_position else 0
        self._change_waiting(order, lots - order.counted)
        order.counted = lots

    def _change_waiting(self, order: WaitingOrder, lots: int, *, ends: bool = False) -> None:
        sums, own = self.exposure.waiting, order.command
        side = "buy" if own.side is Side.BUY else "sell"
        changes = {
            "orders": sums.orders - ends,
            f"closing_{side}s": sums.closing(own.side) - (ends and own.closes_position),
            f"{side}_lots": sums.lots(own.side) + lots,
        }
        rest = replace(sums, **changes)
        self._hold(replace(self.exposure, waiting=NO_WAITING if rest == NO_WAITING else rest))

    def cancel(self, order: LiveOrder) -> None:
        """The order ends unfilled, or with what it has filled."""
        self._add(order, -order.remaining - order.added)
        self._leave(order)

    def fillable(self, order: LiveOrder) -> int:
        """The lots that may fill now: reduce-only ones at most the position, as the engine holds it."""
        if not order.command.reduce_only:
            return order.remaining
        return min(order.remaining, max(0, self.exposure.closable_by(order.command.side)))

    def trade(self, order: LiveOrder, lots: int, price: int, rate: int) -> None:
        """Fill an order at a price (ticks) it allows, charging the cumulative fee."""
        notional, sign = self.spec.notional(price, lots), order.command.side.sign
        fee = fee_of_fill(order.notional, notional, rate)
        order.notional += notional
        self._add(order, -lots)
        order.remaining -= lots
        order.filled += lots
        if not order.remaining:
            self._add(order, -order.added)
            self._leave(order)
        self._book(sign * lots, notional, fee)

    def _book(self, lots: int, notional: int, fee: int) -> None:
        held = self.exposure
        position = Position(held.lots, held.cost)
        realized = fill(position, lots, notional if lots > 0 else -notional, 1)
        self.owner.wallet = Micros(self.owner.wallet + realized - fee)
        self._hold(replace(held, lots=position.lots, cost=position.cost))

    def _leave(self, order: LiveOrder) -> None:
        self.live.remove(order)
        self._hold(replace(self.exposure, live_orders=self.exposure.live_orders - 1))

    def _add(self, order: LiveOrder, lots: int) -> None:
        """Add lots of an order to the sums, or take them off, exactly as it counts, as the projection does."""
        each, held, is_buy = order.counted, self.exposure, order.command.side is Side.BUY
        notional = self.spec.notional(each.margin_price, lots)
        reduced = lots * order.command.reduce_only
        cost = reduced * (each.loss_per_lot + each.fee_per_lot)
        side = "buy" if is_buy else "sell"
        reductions = {f"{side}_lots": reduced, f"{side}_notional": notional * order.command.reduce_only}
        reductions |= {f"{side}_cost": cost, "excess": reduced * each.excess_per_lot}
        self._hold(
            replace(
                held,
                buy_notional=held.buy_notional + notional * is_buy,
                sell_notional=held.sell_notional + notional * (not is_buy),
                buy_lots=held.buy_lots + lots * is_buy,
                sell_lots=held.sell_lots + lots * (not is_buy),
                open_loss=held.open_loss + lots * each.loss_per_lot,
                open_fees=held.open_fees + lots * each.fee_per_lot,
                reduce_only=_changed(held.reduce_only, reductions),
            )
        )

    def _hold(self, exposure: Exposure) -> None:
        self.owner.exposures[self.spec.market] = PositionRisk(self.market, exposure)


def _placed(command: PlaceConditional, order: PricedOrder) -> PlaceOrder:
    return PlaceOrder(
        at=command.at,
        user=command.user,
        side=command.side,
        order_type=command.order_type,
        quantity=order.lots,
        price=order.price,
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        reduce_only=order.reduce_only,
        self_trade_prevention=command.self_trade_prevention,
        margin_price=order.margin_price,
        loss_per_lot=order.loss_per_lot,
        fee_per_lot=order.fee_per_lot,
        leverage=command.leverage,
    )


def _changed(sums: ReduceOnlySums, changes: dict[str, int]) -> ReduceOnlySums:
    """The sums that result; none at all without lots, as the database reads them."""
    rest = replace(sums, **{name: getattr(sums, name) + amount for name, amount in changes.items()})
    return rest if rest.buy_lots or rest.sell_lots else NO_REDUCE_ONLY


def _as_admitted(spec: MarketSpec, command: PlaceOrder) -> LiveOrder:
    value, loss, fee = spec.notional(command.margin_price, 1), command.loss_per_lot, command.fee_per_lot
    excess = reduce_only_excess(spec, command.side, value, loss, fee) if command.reduce_only else Micros(0)
    terms = PricedOrder(
        side=command.side,
        lots=command.quantity,
        price=command.price,
        margin_price=command.margin_price,
        loss_per_lot=loss,
        fee_per_lot=fee,
        reduce_only=command.reduce_only,
        excess_per_lot=excess,
    )
    return LiveOrder(command, command.quantity, terms, excess)
