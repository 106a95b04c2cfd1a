"""Bodies of batch orders and cancel-all."""

from typing import Annotated, Any

from msgspec import Meta

from schemas.refusals import ErrorCode
from schemas.rest.bodies import Request, View
from schemas.rest.orders import OrderRequest

BATCH_ORDERS_MAX = 20


class BatchRequest(Request, frozen=True):
    """Orders to place, in this sequence; each is accepted or refused on its own."""

    orders: Annotated[list[OrderRequest], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]


class RefusalView(View, frozen=True):
    """Why it was refused: the same as the error of a single request."""

    code: ErrorCode
    message: str
    details: dict[str, Any] | None


class OrderAnswerView(View, frozen=True, omit_defaults=True):
    """The result of one order of several: accepted under `commandId`, or refused with `error`.

    `isReplay`: its `clientOrderId` was already used with the same body. The ids of the orders attached to it are there if it has any.
    """

    order_id: str | None
    status: str | None
    command_id: str | None
    is_replay: bool
    error: RefusalView | None
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class OrderAnswersView(View, frozen=True):
    """A result for every order, in the order of the request."""

    orders: list[OrderAnswerView]
