"""Orders on the socket: read, limited, submitted and answered by the code of the REST routes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.errors import Refusal
from api.live.session.operation import Operation
from api.live.session.replies import Reply, Submitted, ok
from api.live.session.session import Session
from api.paths import checked_id, no_such_client_order, no_such_order
from api.submission.submitting import ack_of, cancel_all_ack
from schemas.ids import parse_public_order_id
from schemas.live.answers import EnabledView
from schemas.live.requests import AmendOrder, CancelAll, CancelOnDisconnect, CancelOrder, PlaceOrder
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope
from store.queries.accounts.orders import read_order_id_by_client_id
from store.submission import Placed, SubmitAmend, SubmitCancel, SubmitCancelAll, SubmitOrder


async def place(session: Session, asked: PlaceOrder) -> Submitted:
    """As `POST /orders`."""
    session.trades_in(asked.market_id)
    outcome = session.services.submissions.submit(SubmitOrder(session.owner, asked.order()))
    if asked.client_order_id is not None:
        session.orders.name(asked.client_order_id, outcome)
    return Submitted(outcome, ack_of)


async def amend(session: Session, asked: AmendOrder) -> Submitted:
    """As `PUT /orders/{orderId}`."""
    order_id = checked_id(asked.order_id, no_such_order)
    _note_market(session, order_id)
    return Submitted(session.services.submissions.submit(SubmitAmend(session.owner, order_id, asked.terms())), ack_of)


async def cancel(session: Session, asked: CancelOrder) -> Submitted:
    """As `DELETE /orders/{orderId}` or `DELETE /orders/by-client-id/{clientOrderId}`."""
    order_id = await _order_id_of(session, asked)
    _note_market(session, order_id)
    return Submitted(session.services.submissions.submit(SubmitCancel(session.owner, order_id)), ack_of)


async def cancel_all(session: Session, asked: CancelAll) -> Submitted:
    """As `DELETE /orders`. What this connection has placed before is cancelled too: its batch comes first."""
    await session.orders.landed()
    outcome = session.services.submissions.submit(SubmitCancelAll(session.owner, asked.market_id, asked.side))
    return Submitted(outcome, cancel_all_ack)


async def set_cancel_on_disconnect(session: Session, asked: CancelOnDisconnect) -> Reply:
    """Whether the end of the connection cancels orders, from now on."""
    session.cancels_on_disconnect = asked.enabled
    return ok(EnabledView(asked.enabled))


async def _order_id_of(session: Session, asked: CancelOrder) -> str:
    if (asked.order_id is None) == (asked.client_order_id is None):
        message = "orderId or clientOrderId must be given, and only one of them"
        raise Refusal(ErrorCode.INVALID_ORDER, message, {"field": "orderId"})
    if asked.client_order_id is None:
        return checked_id(asked.order_id or "", no_such_order)
    return await _order_of_client(session, asked.client_order_id)


async def _order_of_client(session: Session, client_id: str) -> str:
    """The order with a client id, also when this connection has placed it a moment ago."""
    placing = session.orders.named(client_id)
    if placing is not None:
        await asyncio.wait([placing])
        if not placing.cancelled() and placing.exception() is None and isinstance(placed := placing.result(), Placed):
            return placed.order_id
    order_id = await session.services.database.run(
        lambda database: read_order_id_by_client_id(database, session.owner, client_id)
    )
    if order_id is None:
        raise no_such_client_order(client_id)
    return order_id


def _note_market(session: Session, order_id: str) -> None:
    named = parse_public_order_id(order_id)
    if named is not None:
        session.trades_in(named[0])


def _operation(
    op: str, body: type[Any], handle: Callable[[Session, Any], Awaitable[Reply | Submitted]], budget: Budget
) -> Operation[Session]:
    return Operation(op, BodyReader(body, misfit=ErrorCode.INVALID_ORDER), handle, Scope.TRADE, budget)


OPERATIONS = (
    _operation("order.place", PlaceOrder, place, Budget.ORDERS),
    _operation("order.amend", AmendOrder, amend, Budget.ORDERS),
    _operation("order.cancel", CancelOrder, cancel, Budget.CANCELS),
    _operation("order.cancel_all", CancelAll, cancel_all, Budget.CANCELS),
    _operation("cancel_on_disconnect", CancelOnDisconnect, set_cancel_on_disconnect, Budget.REQUESTS),
)
