"""Administrator routes: drain the markets."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paths import no_such_market
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.drains import Drained, DrainRequest
from store.command_log import drain as draining
from store.command_log.commands import MarketUnknown

_drain = BodyReader(DrainRequest)


async def drain(request: web.Request, _user: int) -> web.Response:
    """Drain one market or all of them."""
    services = services_of(request)
    asked = await _drain.read_if_any(request) or DrainRequest()
    market = asked.market_id
    try:
        drained = await draining.drain(services.database, market, services.now(), services.settings.drain_timeout_s)
    except MarketUnknown as error:
        raise no_such_market(error.market) from error
    except draining.DrainTimedOut as error:
        raise _timed_out(error.behind) from error
    return json_answer(drained)


def _timed_out(behind: list[draining.MarketBehind]) -> Refusal:
    markets = [
        {"marketId": each.market, "commandSequence": each.command_seq, "awaitedCommandSequence": each.awaited_seq}
        for each in behind
    ]
    return Refusal(ErrorCode.DRAIN_TIMED_OUT, "some markets are not drained yet", {"markets": markets})


ROUTES = (
    Route(
        "POST",
        "/admin/drain",
        drain,
        "Wait until everything accepted before is matched and persisted",
        {
            200: Answer(
                Drained,
                "The position of each market at that point, and the markets left out because the exchange itself has halted them.",
            )
        },
        access=Access.ADMIN,
        body=DrainRequest,
        is_body_optional=True,
        errors=(ErrorCode.FORBIDDEN, ErrorCode.MARKET_NOT_FOUND, ErrorCode.DRAIN_TIMED_OUT),
        tag="admin",
    ),
)
