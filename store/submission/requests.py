"""The requests that can be submitted, and their answers."""

import msgspec

from schemas.orders import CountdownScope, OrderStatus, Side
from schemas.refusals import Refused
from schemas.rest.orders import AmendRequest, OrderRequest
from schemas.units import Timestamp


class SubmitOrder(msgspec.Struct, frozen=True):
    """A user's request to place an order."""

    user: int
    request: OrderRequest


class SubmitCancel(msgspec.Struct, frozen=True):
    """A user's request to cancel their order, named by its public id."""

    user: int
    order_id: str


class SubmitAmend(msgspec.Struct, frozen=True):
    """A user's request to amend their order, named by its public id."""

    user: int
    order_id: str
    request: AmendRequest


class SubmitCancelAll(msgspec.Struct, frozen=True):
    """A user's request to cancel their live orders, of one market or all, of one side or both. Its outcome is Answers."""

    user: int
    market: str | None = None
    side: Side | None = None


class SubmitCountdown(msgspec.Struct, frozen=True):
    """A user's request to replace their timer in a market, or in every market. Its outcome is CountdownsSet."""

    user: int
    market: str | None
    countdown_ms: int
    scope: CountdownScope = CountdownScope.ALL


class SubmitGroup(msgspec.Struct, frozen=True):
    """A user's request to place orders one after the other, with no other request between them. Its outcome is Answers."""

    user: int
    orders: tuple[OrderRequest, ...]


class Placed(msgspec.Struct, frozen=True):
    """An order was stored, now or earlier (`is_replay`): public ids of the order, its command and those attached, and its status."""

    order_id: str
    command_id: str
    status: OrderStatus
    is_replay: bool
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class CancelPlaced(msgspec.Struct, frozen=True):
    """A cancel is under way; `command_id` is the command that requests it."""

    order_id: str
    command_id: str


class AmendPlaced(msgspec.Struct, frozen=True):
    """An amend is under way; `command_id` is the command that requests it."""

    order_id: str
    command_id: str


class CountdownSet(msgspec.Struct, frozen=True):
    """The timer of one market, by the command that sets it; `cancels_at` is None where it was stopped."""

    market: str
    command_id: str
    countdown_ms: int
    cancels_at: Timestamp | None


class CountdownsSet(msgspec.Struct, frozen=True):
    """The timers that a request has set, by market."""

    countdowns: tuple[CountdownSet, ...]


OneRequest = SubmitOrder | SubmitCancel | SubmitAmend
SeveralRequest = SubmitGroup | SubmitCancelAll
"""A request about several orders."""
PartRequest = OneRequest | SubmitCancelAll | SubmitCountdown
"""What a batch decides at a time."""
OneOutcome = Placed | CancelPlaced | AmendPlaced | Refused


class Answers(msgspec.Struct, frozen=True):
    """The outcomes of a request about several orders, in their order."""

    outcomes: tuple[OneOutcome, ...]


SubmissionRequest = OneRequest | SeveralRequest | SubmitCountdown
SubmissionOutcome = OneOutcome | Answers | CountdownsSet


def parts_of(request: SubmissionRequest) -> tuple[PartRequest, ...]:
    """What is decided one after the other: the orders of a group, any other request itself."""
    if isinstance(request, SubmitGroup):
        return tuple(SubmitOrder(request.user, order) for order in request.orders)
    return (request,)
