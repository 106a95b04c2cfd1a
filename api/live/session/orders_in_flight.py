"""The order requests of a connection that wait for their batch: bounded, and known where a later request depends on them."""

import asyncio
from collections.abc import Callable
from typing import Any

from store.submission import OneOutcome

IN_FLIGHT_MAX = 64
"""Where so many wait for their batch, the connection is not read."""


class OrdersInFlight:
    """What one connection has submitted and has no outcome of."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[Any]] = set()
        self._placing: dict[str, asyncio.Future[OneOutcome]] = {}
        self._change: asyncio.Future[None] | None = None

    def add(self, outcome: "asyncio.Future[Any]", on_done: Callable[[], None]) -> None:
        """A request has been submitted; `on_done` is called once it has its outcome."""
        self._waiting.add(outcome)

        def land(done: "asyncio.Future[Any]") -> None:
            self._waiting.discard(done)
            on_done()
            if self._change is not None and not self._change.done():
                self._change.set_result(None)

        outcome.add_done_callback(land)

    def name(self, client_order_id: str, outcome: "asyncio.Future[OneOutcome]") -> None:
        """The order in flight has this client id."""
        self._placing[client_order_id] = outcome
        outcome.add_done_callback(lambda _: self._forget(client_order_id, outcome))

    def named(self, client_order_id: str) -> "asyncio.Future[OneOutcome] | None":
        """The order in flight with this client id."""
        return self._placing.get(client_order_id)

    async def room(self) -> None:
        """Wait until another request may be submitted."""
        while len(self._waiting) >= IN_FLIGHT_MAX:
            await self._next_change()

    async def landed(self) -> None:
        """Wait until every request that has been submitted has its outcome, and its result is on its way."""
        while self._waiting:
            await self._next_change()

    async def _next_change(self) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._change)

    def _forget(self, client_order_id: str, outcome: "asyncio.Future[OneOutcome]") -> None:
        if self._placing.get(client_order_id) is outcome:
            del self._placing[client_order_id]
