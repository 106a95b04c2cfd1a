"""Replay of a market's public fills by the sequence of the stream; public."""

from aiohttp import web

from api.paging import FROM_SEQUENCE, PAGING, market_page_answer, page_request
from api.paths import market_id_of
from api.route import Answer, Route
from api.services import services_of
from schemas.fills import PublicFill
from schemas.refusals import ErrorCode
from schemas.rest.bodies import Page
from store.queries.market_data.public_fills import replay_fills

_REPLAY = (FROM_SEQUENCE, *PAGING)


async def replay(request: web.Request) -> web.Response:
    """The fills of a market as in its stream, oldest first, from any sequence."""
    name, asked = market_id_of(request), page_request(request, _REPLAY)
    page = await services_of(request).database.run(lambda session: replay_fills(session, name, asked))
    return market_page_answer(name, page)


ROUTES = (
    Route(
        "GET",
        "/markets/{marketId}/fills",
        replay,
        "listMarketFills",
        "Replay a market's public fills from a sequence, oldest first",
        {200: Answer(Page[PublicFill], "Fills without gaps, each as its record in `fills.{marketId}`.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        parameters=_REPLAY,
        tag="markets",
    ),
)
