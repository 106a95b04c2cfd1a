"""Closing a position, or a part of it: a reduce-only market order, so that a repeated call cannot open the opposite one."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paths import market_id_of, of_market
from api.route import Access, Route
from api.services import services_of
from api.submission.submitting import ORDER_REFUSALS, PLACED, submitted
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope
from schemas.rest.orders import CloseRequest, OrderRequest
from store.queries.accounts.positions import read_position_lots
from store.queries.formatting import quantity_text
from store.submission import SubmitOrder

_close = BodyReader(CloseRequest, misfit=ErrorCode.INVALID_ORDER)


async def close(request: web.Request, user: int) -> web.StreamResponse:
    """Sell a long, or buy back a short, with a market order: all of it, or the quantity asked for."""
    name, asked = market_id_of(request), await _close.read_if_any(request) or CloseRequest()
    held = await services_of(request).database.run(lambda session: read_position_lots(session, user, name))
    spec, lots = of_market(name, held)
    if not lots:
        raise Refusal(ErrorCode.INVALID_ORDER, "there is no position to close", {"marketId": name})
    order = OrderRequest(
        market_id=name,
        side=Side.SELL if lots > 0 else Side.BUY,
        type=OrderType.MARKET,
        quantity=quantity_text(spec, abs(lots)) if asked.quantity is None else asked.quantity,
        reduce_only=True,
    )
    return await submitted(request, SubmitOrder(user, order))


ROUTES = (
    Route(
        "POST",
        "/positions/{marketId}/close",
        close,
        "closePosition",
        "Close a position, or a part of it, with a market order",
        {202: PLACED},
        access=Access.USER,
        scope=Scope.TRADE,
        body=CloseRequest,
        is_body_optional=True,
        errors=ORDER_REFUSALS,
        tag="account",
    ),
)
