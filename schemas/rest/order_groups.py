"""Bodies of batch orders, cancel-all and order previews."""

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


class OrderAnswerView(View, frozen=True):
    """The result of one order of several: accepted under `commandId`, or refused with `error`.

    `isReplay`: its `clientOrderId` was already used with the same body.
    """

    order_id: str | None
    status: str | None
    command_id: str | None
    is_replay: bool
    error: RefusalView | None


class OrderAnswersView(View, frozen=True):
    """A result for every order, in the order of the request."""

    orders: list[OrderAnswerView]


class PreviewView(View, frozen=True):
    """What `POST /orders` would answer now: the refusal, or the effect of the order on the account.

    `price` is the limit, or the protection price of a market order; `notional` is the value of the order at it.
    `marginRequired` is the margin of the whole account with the order, `marginAdded` the change due to the order (negative
    when it lowers it), `availableMargin` the equity left over. `feeMax` is the maximum fee.
    """

    is_accepted: bool
    refusal: RefusalView | None
    price: str | None
    notional: str | None
    margin_required: str | None
    margin_added: str | None
    equity: str | None
    available_margin: str | None
    fee_max: str | None
