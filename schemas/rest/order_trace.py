"""The trace of one order: every hop, with its time and its place in the market's log as far as they are known."""

from enum import StrEnum

from schemas.orders import AmendRefusal, AmendVerdict, EndReason, LiquidityRole, OrderStatus
from schemas.rest.bodies import TimeText, View


class Hop(StrEnum):
    """The hops of an order."""

    ACCEPTED = "ACCEPTED"
    RELAYED = "RELAYED"
    MATCHED = "MATCHED"
    TRIGGERED = "TRIGGERED"
    ACTIVATED = "ACTIVATED"
    FILLED = "FILLED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    ENDED = "ENDED"
    PERSISTED = "PERSISTED"


class Clock(StrEnum):
    """Whose clock gave the time of a hop; every hop of a kind has the same one."""

    SENDER = "SENDER"
    """The process that accepted the request: an API process, for a liquidation the liquidator."""
    RELAY = "RELAY"
    ENGINE = "ENGINE"
    DATABASE = "DATABASE"


class HopView(View, frozen=True, omit_defaults=True):
    """One hop. Fields that do not apply or are not stored are left out.

    `commandId` is the command that the hop belongs to: for FILLED that by which the taker came, or was amended, for ENDED the one
    that ended the order. It is left out for the fills of a protective order, which is tried again by later commands than the one
    that triggered it.
    `price` of TRIGGERED is the working price that did it, of ACTIVATED the limit or protection price of the order in the book.
    `time` by hop, on the clock that `clock` names: ACCEPTED and CANCEL_REQUESTED, when the request was accepted. RELAYED:
    when the command was first sent to the broker. MATCHED, TRIGGERED, ACTIVATED, FILLED and ENDED: when the
    command's events were (to the millisecond). PERSISTED: when they were written to the database.
    """

    hop: Hop
    is_done: bool
    time: TimeText | None = None
    clock: Clock | None = None
    command_id: str | None = None
    event_id: str | None = None
    trade_id: str | None = None
    liquidity_role: LiquidityRole | None = None
    price: str | None = None
    quantity: str | None = None
    reason: EndReason | None = None


class AmendView(View, frozen=True, omit_defaults=True):
    """One amend of an order: what it asked for, and its verdict. Fields that do not apply are left out.

    `addedQuantity` is signed, the new total less the old one. `price` and `triggerPrice` are left out where they stay. DONE: the order
    has the terms `amendedPrice`, `amendedQuantity` and, while it waits, `amendedTriggerPrice` by the event `eventId`. REFUSED: it stayed
    as it was, or had ended, for `reason`. ENDED_ORDER: it had already filled as much, so it ended. PENDING: the engine has not
    answered, or that is not persisted.
    """

    command_id: str
    requested_at: TimeText
    added_quantity: str
    verdict: AmendVerdict
    price: str | None = None
    reason: AmendRefusal | None = None
    best_opposite_price: str | None = None
    amended_price: str | None = None
    amended_quantity: str | None = None
    trigger_price: str | None = None
    amended_trigger_price: str | None = None
    event_id: str | None = None


class OrderTraceView(View, frozen=True):
    """An order's hops in time order, and the progress of its market: the last command accepted, relayed and persisted, the last event.

    Hops that are not done come last: the order waits for the first of them. At most the first 500 fills are hops; `hasMoreFills` says so.
    `amends` are all amends that were accepted, in their order.
    """

    order_id: str
    market_id: str
    client_order_id: str | None
    status: OrderStatus
    command_sequence: int
    accepted_command_sequence: int
    relayed_command_sequence: int
    persisted_command_sequence: int
    persisted_event_sequence: int
    hops: list[HopView]
    has_more_fills: bool
    amends: list[AmendView]
