"""Read your writes: `X-Wait-For-Command` delays a GET until that command is persisted.

Each request first checks once; all that have to wait share one query every 20 ms. No connection is held between two
queries, and no query runs while nothing waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from api.database import Database
from api.errors import Refusal
from api.route import Parameter
from schemas.ids import parse_public_command_id
from schemas.refusals import ErrorCode
from store.queries.operations.progress import read_persisted

_HEADER = "X-Wait-For-Command"
_POLL_EVERY_S = 0.02
_COMMAND_MAX = 64

WAIT = Parameter(
    _HEADER,
    {"type": "string", "maxLength": _COMMAND_MAX, "pattern": "^[A-Z0-9-]+:[0-9]+$"},
    "The `X-Command-Id` of a 202: waits up to 2 s until the answer includes this command, else `NOT_YET`",
    place="header",
)


class PersistedCommands:
    """How far each market is persisted, for requests that wait for a command."""

    def __init__(self, database: Database, timeout_s: float) -> None:
        self._database = database
        self._timeout_s = timeout_s
        self._awaited: dict[asyncio.Future[int], tuple[str, int]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def reach(self, market: str, seq: int) -> int | None:
        """The last persisted command of a market, once it reaches `seq` or the time is up; None for an unknown market.

        Raises StoreUnavailable.
        """
        reached = (await self._look()).get(market)
        if reached is None or reached >= seq:
            return reached
        arrival = await self._wait(market, seq)
        return arrival.result() if arrival.done() else (await self._look())[market]

    async def _wait(self, market: str, seq: int) -> asyncio.Future[int]:
        """Wait until the command is persisted or the time is up; raises the error that ended the polling."""
        arrival: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[arrival] = (market, seq)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._poll_while_requests_wait(), name="poll progress")
        watch = self._watch
        try:
            either: set[asyncio.Future[Any]] = {arrival, watch}
            await asyncio.wait(either, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._awaited[arrival]
        if watch.done() and not arrival.done():
            watch.result()
        return arrival

    async def _poll_while_requests_wait(self) -> None:
        while self._awaited:
            persisted = await self._look()
            for arrival, (market, seq) in self._awaited.items():
                if persisted[market] >= seq and not arrival.done():
                    arrival.set_result(persisted[market])
            await asyncio.sleep(_POLL_EVERY_S)

    async def _look(self) -> Mapping[str, int]:
        return await self._database.run(read_persisted)


PERSISTED_COMMANDS = web.AppKey("PERSISTED_COMMANDS", PersistedCommands)


def after_waiting(
    handler: Callable[..., Awaitable[web.StreamResponse]],
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The handler of a read, called once the command that the request names (if any) is persisted."""

    async def waiting(request: web.Request, *caller: int) -> web.StreamResponse:
        if _HEADER in request.headers:
            await _wait_for_command(request)
        return await handler(request, *caller)

    return waiting


async def _wait_for_command(request: web.Request) -> None:
    """Refuse with INVALID_REQUEST when it is not a command of a listed market, with NOT_YET when it is not persisted in time."""
    market, seq = _command_of(request)
    reached = await request.app[PERSISTED_COMMANDS].reach(market, seq)
    if reached is None:
        raise _no_command()
    if reached < seq:
        details = {"marketId": market, "commandSequence": reached, "awaitedCommandSequence": seq}
        raise Refusal(ErrorCode.NOT_YET, "the command is not persisted yet", details)


def _command_of(request: web.Request) -> tuple[str, int]:
    named = request.headers.getall(_HEADER)
    command = parse_public_command_id(named[0]) if len(named) == 1 and len(named[0]) <= _COMMAND_MAX else None
    if command is None:
        raise _no_command()
    return command


def _no_command() -> Refusal:
    return Refusal(ErrorCode.INVALID_REQUEST, f"{_HEADER} must be the X-Command-Id of a 202", {"field": _HEADER})
