"""Reads again what has changed in the tables, at most five times a second.

One task reads for all, one thing after the other; without subscribers there is none.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from api.database import Database
from api.live.failures import report_failure
from api.live.feeds.pacing import EVERY_S
from api.live.feeds.polled import PolledView
from api.live.feeds.subscribers import Line
from api.live.outgoing import Key
from api.watch.outage_log import note_outage
from store.queries.market_data.live_progress import SeenMarket, read_seen_markets
from store.session.connect import Session, StoreUnavailable

OUTAGE_AGAIN_S = 0.5


class Poller:
    """Reads every view that has subscribers. `status_markets` names the markets whose stored status `on_seen` wants to know."""

    def __init__(
        self,
        database: Database,
        status_markets: Callable[[], Iterable[str]],
        on_seen: Callable[[Mapping[str, SeenMarket]], None],
    ) -> None:
        self._database = database
        self._status_markets = status_markets
        self._on_seen = on_seen
        self._views: dict[Key, PolledView] = {}
        self._polling: asyncio.Task[None] | None = None

    async def subscribe(self, line: Line, key: Key, make: Callable[[], PolledView], greet: bytes) -> None:
        """Send `greet`, the present value, and its changes. Raises KeyError for no market, StoreUnavailable."""
        view = self._views.setdefault(key, make())
        if view.beginning is None:
            view.beginning = asyncio.create_task(self._begin(view))
        try:
            if not await asyncio.shield(view.beginning):
                raise KeyError(view.market)
        except (KeyError, StoreUnavailable):
            if self._views.get(key) is view and not view.subscribers:
                del self._views[key]
            raise
        self._views.setdefault(key, view)
        line.append(greet)
        view.greet(line, key)
        view.subscribers[line, key] = None
        self.poll()

    def leave(self, line: Line, key: Key) -> None:
        """Send no more to this subscription."""
        view = self._views.get(key)
        if view is not None:
            view.subscribers.pop((line, key), None)
            if not view.subscribers:
                del self._views[key]

    def poll(self) -> None:
        """Look at the tables as long as there is something to look for."""
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="live polling")
            self._polling.add_done_callback(report_failure)

    async def close(self) -> None:
        """Read no more."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        while markets := {view.market for view in self._views.values()}.union(self._status_markets()):
            await asyncio.sleep(EVERY_S)
            try:
                seen = await self._database.run(lambda session, names=markets: read_seen_markets(session, names))  # type: ignore[misc]
                self._on_seen(seen)
                for view in list(self._views.values()):
                    now = seen.get(view.market)
                    if now is not None and now.event_seq > view.sequence and view.subscribers:
                        await self._read(view, now)
                        view.send()
            except StoreUnavailable as error:
                note_outage(error)
                await asyncio.sleep(OUTAGE_AGAIN_S)

    async def _begin(self, view: PolledView) -> bool:
        async def read(session: Session) -> bool:
            seen = (await read_seen_markets(session, [view.market])).get(view.market)
            return seen is not None and await view.read(session, seen)

        return await self._database.run(read)

    async def _read(self, view: PolledView, seen: SeenMarket) -> bool:
        return await self._database.run(lambda session: view.read(session, seen))
