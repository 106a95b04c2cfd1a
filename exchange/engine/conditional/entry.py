"""How a conditional order begins to wait and is amended, and how one that may open a position enters the book with its margin."""

from exchange.engine.conditional.groups import GroupName
from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.emitter import Emitter
from exchange.engine.order_entry import AMENDED, GTD_EXPIRED, TIMED_OUT, WRONG_STATUS, Ending, enter
from exchange.market_status import accepts_order
from exchange.order_terms import MarginTerms
from schemas.commands import ActivateOrder, AmendOrder, PlaceConditional, PlaceOrder
from schemas.orders import AmendRefusal, TimeInForce
from schemas.units import Lots, Ticks


def place_conditional(emitter: Emitter, command: PlaceConditional) -> None:
    """Refuse an order or let it wait. One whose condition already holds fires at the end of this command."""
    market = emitter.market
    order = _order_of(emitter.command, command)
    refusal = _refusal(emitter, command)
    if refusal is not None:
        emitter.ended(order, *refusal)
        return
    emitter.accepted_conditional(order)
    market.wait(order)
    if order.oco_group is not None:
        market.groups.join(order.order_seq, GroupName(order.user, order.oco_group))


def amend_waiting(emitter: Emitter, command: AmendOrder) -> None:
    """Give an order that waits for its condition other terms, or refuse that. With no lots left it ends.

    It keeps its number, its group and its parent. If its new condition holds already, it fires at the end of this command.
    """
    market = emitter.market
    refusal = _why_not_amended(emitter, command)
    if refusal is not None:
        emitter.amend_refused(command, refusal)
        return
    order = market.waiting.orders[command.order]
    if not order.closes_position and order.remaining + command.added <= 0:
        market.stop_waiting(order)
        emitter.ended(order, *AMENDED)
        return
    price = order.price if command.price is None else command.price
    market.waiting.amend(order, command.trigger or order.trigger, price, Lots(order.remaining + command.added))
    emitter.amended(order, command, keeps_place=True)


def activate(emitter: Emitter, command: ActivateOrder) -> None:
    """Let a triggered order enter the book, unless it has ended meanwhile."""
    order = emitter.market.waiting.orders.get(command.order)
    if order is None or order.user != command.user or order.reduce_only or order.stage is not Stage.TRIGGERED:
        emitter.activation_refused(command.order, command.user)
        return
    order.leverage = command.leverage
    terms = MarginTerms(command.margin_price, command.loss_per_lot, command.fee_per_lot)
    enter_book(emitter, order, command.price, terms)


def enter_book(emitter: Emitter, order: ConditionalOrder, price: Ticks, terms: MarginTerms) -> None:
    """Place a waiting order in the book at this limit or protection price; it waits no longer."""
    emitter.market.stop_waiting(order)
    placed = PlaceOrder(
        at=emitter.at,
        user=order.user,
        side=order.side,
        order_type=order.order_type,
        quantity=order.remaining,
        price=price,
        time_in_force=order.time_in_force if order.order_type.is_limit else TimeInForce.IOC,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        self_trade_prevention=order.self_trade_prevention,
        margin_price=terms.margin_price,
        loss_per_lot=terms.loss_per_lot,
        fee_per_lot=terms.fee_per_lot,
        leverage=order.leverage,
        client_order_id=order.client_order_id,
        expires_at=order.expires_at,
    )
    enter(emitter, order.order_seq, placed)


def _order_of(order_seq: int, command: PlaceConditional) -> ConditionalOrder:
    parent = order_seq + command.parent_after if command.parent_after else 0
    return ConditionalOrder(
        order_seq=order_seq,
        user=command.user,
        side=command.side,
        order_type=command.order_type,
        working_type=command.working_type,
        trigger=command.trigger,
        price=command.price,
        remaining=command.quantity,
        reduce_only=command.reduce_only,
        closes_position=command.closes_position,
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        self_trade_prevention=command.self_trade_prevention,
        leverage=command.leverage,
        callback_rate=command.callback_rate,
        activation=command.activation,
        client_order_id=command.client_order_id,
        expires_at=command.expires_at,
        oco_group=f"order:{parent}" if parent else command.oco_group,
        parent=parent,
        stage=Stage.ASLEEP if parent else Stage.AWAKE,
    )


def _why_not_amended(emitter: Emitter, command: AmendOrder) -> AmendRefusal | None:
    market = emitter.market
    waiting = market.waiting.orders.get(command.order)
    order = waiting or market.book.find(command.order)
    if order is None or order.user != command.user:
        return AmendRefusal.ENDED
    if waiting is None or waiting.stage is Stage.TRIGGERED:
        return AmendRefusal.TRIGGERED
    ends = not waiting.closes_position and waiting.remaining + command.added <= 0
    if not ends and not accepts_order(market.status, post_only=waiting.post_only, reduce_only=waiting.reduce_only):
        return AmendRefusal.MARKET_STATUS
    return None


def _refusal(emitter: Emitter, command: PlaceConditional) -> Ending | None:
    market = emitter.market
    if command.valid_until is not None and command.valid_until < market.clock:
        return TIMED_OUT
    if command.expires_at is not None and command.expires_at <= market.clock:
        return GTD_EXPIRED
    if not accepts_order(market.status, post_only=command.post_only, reduce_only=command.reduce_only):
        return WRONG_STATUS
    return None
