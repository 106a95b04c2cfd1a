"""A subscription that begins in the past: pages out of the tables, and at their end the seam to the log."""

import asyncio
import logging
from collections.abc import Iterable

from api.live.failures import report_failure
from api.live.feeds.replayed import Item, Page, ReplayedFeed
from api.live.feeds.subscribers import Line
from api.live.outgoing import Key
from broker.errors import BrokerUnavailable
from store.projection.errors import ChainBroken, EventGap
from store.session.connect import StoreUnavailable

WAITING_BYTES_MAX = 1024 * 1024
DRAINS_S = 0.02
AGAIN_S = 0.5

log = logging.getLogger(__name__)


class Replay:
    """A subscription that begins in the past: pages out of the tables, and at their end the seam to the log."""

    def __init__(self, feed: ReplayedFeed, line: Line, key: Key, first: int) -> None:
        self._feed = feed
        self._line = line
        self._key = key
        self._next = first
        self._running: asyncio.Task[None] | None = None

    async def begin(self, greet: bytes) -> None:
        """Read the first page, then send `greet` and the page; go on by itself. Raises StoreUnavailable, BrokerUnavailable."""
        page = await self._feed.stored_page(self._next)
        self._line.append(greet)
        self._line.resume_at(self._key, self._feed.resume_after(self._next - 1))
        self._send(page.items)
        self._running = asyncio.create_task(self._run(page), name=f"replay {self._feed.channel} {self._feed.market}")
        self._running.add_done_callback(report_failure)

    def cancel(self) -> None:
        """Send no more."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self, page: Page) -> None:
        """Until the seam; an outage is waited for."""
        while not self._line.is_closed:
            try:
                if not page.has_more and await self._joins(page):
                    return
                await self._drained()
                page = await self._feed.stored_page(self._next)
            except (StoreUnavailable, BrokerUnavailable, EventGap, ChainBroken) as error:
                log.warning("a replay of %s of %s waits: %s", self._feed.channel, self._feed.market, error)
                await asyncio.sleep(AGAIN_S)
                page = page._replace(items=[], has_more=True)
            else:
                self._send(page.items)

    async def _joins(self, page: Page) -> bool:
        """Send what the log has after the page, and follow the feed from there on."""
        await self._feed.begin()
        items = await self._feed.items_since(page.progress, self._next)
        self._send(items)
        has = max(self._next - 1, page.upto)
        if self._feed.last > has:  # the feed is ahead: its events are in the tables soon
            return False
        self._feed.join(self._line, self._key, has)
        return True

    async def _drained(self) -> None:
        while self._line.bytes_waiting > WAITING_BYTES_MAX and not self._line.is_closed:  # noqa: ASYNC110 - no event a frame
            await asyncio.sleep(DRAINS_S)

    def _send(self, items: Iterable[Item]) -> None:
        for item in items:
            if item.sequence >= self._next:
                self._line.append(item.frame, self._key, item.resume)
                self._next = item.sequence + 1
