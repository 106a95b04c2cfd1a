"""The requests that can be submitted, and their answers."""

import msgspec

from schemas.orders import OrderStatus
from schemas.refusals import Refused
from schemas.rest.orders import AmendRequest, OrderRequest


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


SubmissionRequest = SubmitOrder | SubmitCancel | SubmitAmend
SubmissionOutcome = Placed | CancelPlaced | AmendPlaced | Refused
