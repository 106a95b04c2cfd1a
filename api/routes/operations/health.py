"""Health checks: is the process alive, is it ready for requests, and are its parts healthy."""

from aiohttp import web

from api.responses import json_answer
from api.route import Answer, Route
from api.services import Services, services_of
from schemas.rest.bodies import View
from store.markets.backlog import MarketLoad
from store.session.connect import Session, StoreUnavailable


class Health(View, frozen=True):
    """`ok`, or the problem."""

    status: str


class Part(View, frozen=True):
    """One part of the process: whether it is healthy, and a short detail."""

    name: str
    is_well: bool
    state: str


class HealthReport(View, frozen=True):
    """`ok` when every part is healthy, else `degraded`."""

    status: str
    parts: list[Part]


async def livez(_request: web.Request) -> web.Response:
    """Answers 200: the process is alive."""
    return json_answer(Health("ok"))


async def readyz(request: web.Request) -> web.Response:
    """200 while an order would be accepted, by the database and by at least one open market; else 503 and what is missing."""
    problem = await _problem(services_of(request))
    return json_answer(Health(problem or "ok"), status=503 if problem else 200)


async def healthz(request: web.Request) -> web.Response:
    """Every part with its state; 503 when one of them is not healthy."""
    services = services_of(request)
    parts = [await _database_part(services), _clock_part(services), _queue_part(services), *_market_parts(services)]
    if all(part.is_well for part in parts):
        return json_answer(HealthReport("ok", parts))
    return json_answer(HealthReport("degraded", parts), status=503)


async def _problem(services: Services) -> str:
    """Why an order would not be accepted now; empty if it would. Markets that an operator has closed do not count."""
    if services.lifecycle.is_stopping:
        return "stopping"
    if not await _database_answers(services):
        return "database unavailable"
    if services.clock.offset.is_wrong:
        return f"the clock of this machine is {services.clock.offset}"
    if services.submissions.is_stuck or services.submissions.failure:
        return f"the database stores no orders: {services.submissions.failure or 'it does not answer in time'}"
    open_markets = {name: load for name, load in sorted(services.load.current.items()) if load.is_open}
    if open_markets and all(load.is_stale or load.is_backlogged for load in open_markets.values()):
        states = ", ".join(f"{name}: {_state_of(load)}" for name, load in open_markets.items())
        return f"no market accepts orders, are broker, relay, engine, projection and clock at work? {states}"
    return ""


async def _database_answers(services: Services) -> bool:
    async def ask(session: Session) -> None:
        await session.fetchval("SELECT 1")

    try:
        await services.database.run(ask)
    except StoreUnavailable:
        return False
    return True


async def _database_part(services: Services) -> Part:
    answers = await _database_answers(services)
    return Part("database", answers, "answers" if answers else "unavailable")


def _clock_part(services: Services) -> Part:
    offset = services.clock.offset
    return Part("clock", not offset.is_wrong, str(offset) if offset.is_wrong else "agrees with PostgreSQL's")


def _queue_part(services: Services) -> Part:
    queue = services.submissions
    state = "stuck" if queue.is_stuck else f"{queue.waiting} waiting"
    return Part("submission queue", not queue.is_stuck, state)


def _market_parts(services: Services) -> list[Part]:
    return [
        Part(f"market {name}", not (load.is_stale or load.is_backlogged), _state_of(load))
        for name, load in sorted(services.load.current.items())
    ]


def _state_of(load: MarketLoad) -> str:
    waiting = f"{load.backlog} commands to be persisted"
    return f"{waiting}, mark {load.mark_age_s:.1f} s old" if load.mark_age_s else waiting


ROUTES = (
    Route(
        "GET",
        "/livez",
        livez,
        "getLiveness",
        "Check that the process is alive",
        {200: Answer(Health, "It is alive.")},
        tag="health",
    ),
    Route(
        "GET",
        "/readyz",
        readyz,
        "getReadiness",
        "Check that an order would be accepted",
        {200: Answer(Health, "It would."), 503: Answer(Health, "Not now; `status` says what is missing.")},
        tag="health",
    ),
    Route(
        "GET",
        "/healthz",
        healthz,
        "getHealth",
        "Show the health of each part",
        {200: Answer(HealthReport, "All parts are healthy."), 503: Answer(HealthReport, "A part is not healthy.")},
        tag="health",
    ),
)
