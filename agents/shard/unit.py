"""A shard in this process: one Faust app for one kind of work, with the markets that are placed in the shard.

A market that is listed, placed elsewhere or at fault is added, finished or rested inside the running app. The others work on.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import cast

from faust.contrib.asgi import bind_to_running_loop

from agents.shard.market_work import Build, MarketWork
from agents.shard.placement import MARKETS_AT_ONCE
from agents.worker.fail_stop import fail_fast
from agents.worker.faust_app import faust_app
from agents.worker.membership.seats import Seat, Standing, seats
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch
from broker.shards.consumer import Membership, ShardConsumer
from schemas.topics import shard_app_id
from store.crash_points import CrashPoint, passing
from store.session.presence import Task, Work

GOODBYE_TIMEOUT_S = 3.0
FINISH_WITHIN_S = 5.0
UNBROKEN = 1
LOOK_EVERY_S = 0.05

log = logging.getLogger(__name__)


class ShardUnit:
    """Owner or standby of a shard. `markets`: those that are in it at first."""

    def __init__(
        self,
        work: Work,
        shard: str,
        settings: StreamSettings,
        build: Build,
        *,
        markets: Collection[str] = (),
        watch: TopicWatch | None = None,
    ) -> None:
        self.name = shard_app_id(work, shard)
        self.is_cut = False
        self.app = faust_app(self.name, settings)
        self._work = work
        self._settings = settings
        self._build = build
        self._watch = watch
        self._beginnings, self._endings = asyncio.Semaphore(MARKETS_AT_ONCE), asyncio.Semaphore(MARKETS_AT_ONCE)
        self._markets: dict[str, MarketWork] = {}
        self._wanted = frozenset(markets)
        self._finished: frozenset[str] = frozenset()
        self._left: frozenset[str] = frozenset()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._placing = asyncio.Lock()
        self._membership: Membership | None = None
        self._seat: Seat | None = None
        self._is_decided = asyncio.Event()
        self._is_running = False

    @property
    def markets(self) -> frozenset[str]:
        """The markets that are placed in the shard."""
        return self._wanted

    async def start(self) -> None:
        """Start; it is up when this process is a standby, or the owner of markets that have all begun."""
        bind_to_running_loop(self.app)
        self.app.finalize()
        consumer = cast("ShardConsumer", self.app.consumer)
        consumer.on_rejoin, consumer.on_membership = self._on_rejoin, self._on_membership
        self._seat = seats.take(self.name, consumer)
        self.app.flow_control.resume()
        await self.app.maybe_start()
        if self._seat.standing is Standing.STARTING:
            self._seat.standing = Standing.JOINING
        await self.app._fetcher.maybe_start()
        self._is_running = True
        await self.place(self._wanted, self._finished)
        waits = [asyncio.create_task(self._until_up()), asyncio.create_task(self.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def place(self, markets: Collection[str], finished: Collection[str] = ()) -> None:
        """These markets, and no others, are in the shard from now on; returns when those that leave it have finished.

        A finished market is looked at once more by this process, and leaves the shard until it has a command again.
        """
        self._wanted, self._finished = frozenset(markets), frozenset(finished)
        if self._is_running:
            async with self._placing:
                await self._place()

    async def _place(self) -> None:
        self._left &= self._finished
        served = self._wanted - self._left
        for market in self._leaving.keys() - (self._finished & served):
            self._leaving.pop(market).cancel()
        await self._finish([self._markets.pop(market) for market in sorted(self._markets.keys() - served)])
        for market in sorted(served - self._markets.keys()):
            self._markets[market] = each = self._market(market)
            each.start()
            self._notify(each)
        for market in sorted((self._finished & served) - self._leaving.keys()):
            leaving = self._leave_when_idle(market, self._markets[market])
            self._leaving[market] = asyncio.create_task(fail_fast(leaving, self._markets[market].name))

    async def _leave_when_idle(self, market: str, work: MarketWork) -> None:
        await work.until_idle()
        async with self._placing:
            if self._markets.get(market) is work and market in self._finished and self._is_running:
                del self._markets[market], self._leaving[market]
                self._left |= {market}
                await self._finish([work])
                log.info("%s has left: it is settled", work.name, extra={"market": market})

    async def wait(self) -> None:
        """Return when the app has crashed: a crash does not reach the event loop otherwise."""
        await self.app.wait_until_stopped()

    async def stop(self) -> None:
        """Finish every market's current record, then commit and leave the group."""
        self._is_running = False
        async with self._placing:
            for leaving in self._leaving.values():
                leaving.cancel()
            await self._finish(list(self._markets.values()))
        self._stands_as(Standing.LEAVING)
        try:
            await asyncio.wait_for(self.app.stop(), GOODBYE_TIMEOUT_S)
        except TimeoutError:
            log.warning("%s stops without leaving its group", self.name)
            self.is_cut = True
        else:
            if self._seat is not None:
                seats.give_up(self._seat)

    async def _finish(self, leaving: Collection[MarketWork]) -> None:
        """Finish these markets; one that cannot finish in time is given up, and its next owner starts from an older snapshot."""
        if not leaving:
            return
        finishing = {asyncio.create_task(each.finish()): each for each in leaving}
        await asyncio.wait(finishing, timeout=FINISH_WITHIN_S)
        late = [task for task in finishing if not task.done()]
        for task in late:
            log.warning("%s does not finish in time", finishing[task].name)
            task.cancel()
        await asyncio.gather(*(finishing[task].abandon() for task in late))

    @property
    def _is_owner(self) -> bool:
        return self._membership is not None and self._membership.is_owner

    async def _until_up(self) -> None:
        await self._is_decided.wait()
        while True:
            if not self._is_owner or all(each.is_up.is_set() for each in self._markets.values()):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _market(self, market: str) -> MarketWork:
        return MarketWork(
            self.app,
            Task(self._work, market),
            self._settings,
            self._build,
            watch=self._watch,
            beginnings=self._beginnings,
            endings=self._endings,
        )

    def _stands_as(self, standing: Standing) -> None:
        if self._seat is not None:
            self._seat.standing = standing

    def _on_rejoin(self) -> None:
        self._stands_as(Standing.JOINING)
        if self._is_owner:
            passing(CrashPoint.DURING_REBALANCE)

    def _on_membership(self, now: Membership) -> None:
        """The group has decided. An owner that stays the owner works on; after a generation without it, it begins again."""
        before, self._membership = self._membership, now
        self._stands_as(Standing.OWNER if now.is_owner else Standing.STANDBY)
        self._is_decided.set()
        if before is not None and _goes_on(before, now):
            return
        log.info("%s is %s", self.name, "the owner" if now.is_owner else "a standby")
        for each in self._markets.values():
            each.disown()
            self._notify(each)

    def _notify(self, market: MarketWork) -> None:
        if self._is_owner:
            market.own()
        elif self._membership is not None:
            market.stand_by()


def _goes_on(before: Membership, now: Membership) -> bool:
    """Whether a standby is still one, or an owner has been the owner without a generation of another."""
    stays = before.is_owner == now.is_owner
    return stays and (not now.is_owner or now.generation == before.generation + UNBROKEN)
