"""What can be submitted, and what each request is answered."""

import msgspec

from schemas.orders import OrderStatus
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest


class SubmitOrder(msgspec.Struct, frozen=True):
    """A user wants to trade."""

    user: int
    request: OrderRequest


class SubmitCancel(msgspec.Struct, frozen=True):
    """A user wants his order, named by its public id, out of the market."""

    user: int
    order_id: str


class Placed(msgspec.Struct, frozen=True):
    """An order is stored, or had been (`is_replay`): public ids of the order and its command, and its status."""

    order_id: str
    command_id: str
    status: OrderStatus
    is_replay: bool


class CancelPlaced(msgspec.Struct, frozen=True):
    """A cancel is under way; `command_id` is of the command that asked for it, in this request or an earlier one."""

    order_id: str
    command_id: str


SubmissionRequest = SubmitOrder | SubmitCancel
Answer = Placed | CancelPlaced | Refused
