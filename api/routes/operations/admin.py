"""Administrator routes about the exchange as a whole: drain the markets, and the log of operators."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paging import ORDERED, TIMED, page_answer, page_request
from api.paths import no_such_market, optional_user
from api.responses import json_answer
from api.route import Access, Answer, Parameter, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.bodies import Page
from schemas.rest.drains import Drained, DrainRequest
from schemas.rest.operating.acts import Action, ActView
from store.command_log import drain as draining
from store.command_log.commands import MarketUnknown
from store.operators.acts import Act, Operator, list_acts, record_act

_drain = BodyReader(DrainRequest)
USER = Parameter("userId", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, "Only this user")
_ACTS = (*ORDERED, *TIMED, USER)


async def drain(request: web.Request, admin: int) -> web.Response:
    """Drain one market or all of them."""
    services = services_of(request)
    asked = await _drain.read_if_any(request) or DrainRequest()
    market, at = asked.market_id, services.now()

    async def record(outcome: dict[str, object]) -> None:
        act = Act(Action.DRAIN, {}, outcome, market=market, reason=asked.reason)
        await services.database.run(lambda session: record_act(session, Operator(admin, None), act, at))

    try:
        drained = await draining.drain(services.database, market, at, services.settings.drain_timeout_s)
    except MarketUnknown as error:
        raise no_such_market(error.market) from error
    except draining.DrainTimedOut as error:
        await record({"isDrained": False, "behind": [each.market for each in error.behind]})
        raise _timed_out(error.behind) from error
    await record({"isDrained": True, "processed": drained.processed, "skipped": drained.skipped})
    return json_answer(drained)


async def acts(request: web.Request, _admin: int) -> web.Response:
    """The log of operators, newest first."""
    user, asked = optional_user(request), page_request(request, _ACTS)
    return page_answer(await services_of(request).database.run(lambda session: list_acts(session, user, asked)))


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
        "drainMarkets",
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
    Route(
        "GET",
        "/admin/acts",
        acts,
        "listOperatorActs",
        "List what operators did, newest or oldest first",
        {200: Answer(Page[ActView], "Entries of the log of operators.")},
        access=Access.ADMIN,
        parameters=_ACTS,
        tag="admin",
    ),
)
