"""The trace of one order: every hop, with its time and its place in the market's log as far as they are known."""

from enum import StrEnum

from schemas.orders import EndReason, LiquidityRole, OrderStatus
from schemas.rest.bodies import View


class Hop(StrEnum):
    """The hops of an order, in sequence."""

    ACCEPTED = "ACCEPTED"
    RELAYED = "RELAYED"
    MATCHED = "MATCHED"
    FILLED = "FILLED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    ENDED = "ENDED"
    PERSISTED = "PERSISTED"


class HopView(View, frozen=True, omit_defaults=True):
    """One hop. Fields that do not apply or are not stored are left out.

    `time` by hop: ACCEPTED and CANCEL_REQUESTED, when the API accepted it. RELAYED: when its command was first sent to the
    broker. MATCHED: when its events were (to the millisecond). PERSISTED: when they were written to the database. FILLED
    and ENDED: the time of the command that caused the event, because the engine has no clock.
    """

    hop: Hop
    is_done: bool
    time: str | None = None
    command_id: str | None = None
    event_id: str | None = None
    trade_id: str | None = None
    liquidity_role: LiquidityRole | None = None
    price: str | None = None
    quantity: str | None = None
    reason: EndReason | None = None


class OrderTraceView(View, frozen=True):
    """An order's hops, and the progress of its market: the last command accepted, relayed and persisted, the last event.

    The order waits for the first hop that is not done. At most the first 500 fills are hops; `hasMoreFills` says so.
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
