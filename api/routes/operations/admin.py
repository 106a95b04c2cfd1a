"""What only an administrator may ask: that everything accepted before the call be matched and persisted."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paths import no_such_market
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import Services, services_of
from schemas.commands import MarketBarrier
from schemas.refusals import ErrorCode
from schemas.rest.drains import Drained, DrainedMarket, DrainRequest
from store.command_log.commands import append_command
from store.queries.operations.progress import MarketProgress, read_progress
from store.session.connect import Session

POLL_S = 0.02
_drain = BodyReader(DrainRequest)


async def drain(request: web.Request, _user: int) -> web.Response:
    """Send a barrier through the log of each market and wait until the projection has passed it.

    1. see how far each market is persisted; 2. append the barriers; 3. wait until `progress` has reached each.
    """
    services = services_of(request)
    market = (await _drain.read(request)).market_id if request.can_read_body else None
    before = await services.database.run(lambda session: _progress_of(session, market))
    barriers = await services.database.run(lambda session: _append_barriers(session, services, list(before)))
    after = await _wait_until_passed(services, barriers)
    return json_answer(_drained(before, after))


async def _progress_of(session: Session, market: str | None) -> dict[str, MarketProgress]:
    everywhere = await read_progress(session)
    if market is None:
        return everywhere
    if market not in everywhere:
        raise no_such_market(market)
    return {market: everywhere[market]}


async def _append_barriers(session: Session, services: Services, markets: list[str]) -> dict[str, int]:
    at = services.now()
    return {market: await append_command(session, market, MarketBarrier(at, f"drain-{at}")) for market in markets}


async def _wait_until_passed(services: Services, barriers: Mapping[str, int]) -> dict[str, MarketProgress]:
    deadline = asyncio.get_running_loop().time() + services.settings.drain_timeout_s
    while True:
        progress = await services.database.run(read_progress)
        behind = {market: seq for market, seq in barriers.items() if progress[market].command_seq < seq}
        if not behind:
            return {market: progress[market] for market in barriers}
        if asyncio.get_running_loop().time() >= deadline:
            raise _timed_out(behind, progress)
        await asyncio.sleep(POLL_S)


def _timed_out(behind: Mapping[str, int], progress: Mapping[str, MarketProgress]) -> Refusal:
    markets = [
        {"marketId": market, "commandSequence": progress[market].command_seq, "awaitedCommandSequence": seq}
        for market, seq in behind.items()
    ]
    return Refusal(ErrorCode.DRAIN_TIMED_OUT, "some markets are still behind", {"markets": markets})


def _drained(before: Mapping[str, MarketProgress], after: Mapping[str, MarketProgress]) -> Drained:
    return Drained(
        processed=sum(after[market].command_seq - before[market].command_seq for market in after),
        markets=[
            DrainedMarket(market, passed.command_seq, passed.event_seq, passed.event_hash)
            for market, passed in sorted(after.items())
        ],
    )


ROUTES = (
    Route(
        "POST",
        "/admin/drain",
        drain,
        "Wait until everything accepted before is matched and persisted",
        {200: Answer(Drained, "The position of each market at that point.")},
        access=Access.ADMIN,
        body=DrainRequest,
        errors=(ErrorCode.FORBIDDEN, ErrorCode.MARKET_NOT_FOUND, ErrorCode.DRAIN_TIMED_OUT),
        tag="admin",
    ),
)
