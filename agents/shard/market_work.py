"""The work on one market of a shard: it waits for its topics, begins, reads its log, rests, begins again, and ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import faust
from aiokafka.errors import KafkaError
from structlog.contextvars import bind_contextvars

from agents.shard.stream import MarketStream
from agents.shard.worker import MarketWorker
from agents.worker.database import DATABASE_ERRORS
from agents.worker.fail_stop import alongside, fail_fast
from agents.worker.ownership import give_up, take_on
from agents.worker.retry import Backoff
from agents.worker.service import is_unavailable
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StallWatchdog
from agents.worker.topic_watch import TopicWatch
from store.session.presence import Task

DISCONNECT_WITHIN_S = 3.0
IDLE_LOOK_S = 1.0

log = logging.getLogger(__name__)

Build = Callable[[faust.App, str, StreamSettings], MarketWorker]


class MarketWork:
    """One market in the app of its shard, whatever becomes of the others.

    `watch`: None where nobody watches topics. `beginnings`, `endings`: how many markets may begin, and finish, at a time.
    """

    def __init__(
        self,
        app: faust.App,
        task: Task,
        settings: StreamSettings,
        build: Build,
        *,
        watch: TopicWatch | None,
        beginnings: asyncio.Semaphore,
        endings: asyncio.Semaphore,
    ) -> None:
        self.name = f"{task.work}-{task.market}"
        self.is_up = asyncio.Event()
        self._app = app
        self._task = task
        self._settings = settings
        self._build = build
        self._watch = watch
        self._beginnings = beginnings
        self._endings = endings
        self._is_owner = asyncio.Event()
        self._is_disowned = False
        self._serving: asyncio.Task[None] | None = None
        self._owning: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._has_turn = False
        self._worker: MarketWorker | None = None
        self._stream: MarketStream | None = None

    def start(self) -> None:
        """Start; the work begins when this process is the owner."""
        self._serving = asyncio.create_task(fail_fast(self._serve(), self.name), name=self.name)

    def own(self) -> None:
        """This process is the owner of the shard."""
        self._is_owner.set()

    def stand_by(self) -> None:
        """Another process is the owner; this one takes over when the group says so."""
        log.info("%s is up", self.name)

    def disown(self) -> None:
        """This process is the owner no more: drop the work in progress at once."""
        self._is_owner.clear()
        self.is_up.clear()
        if self._worker is not None:
            self._worker.release()
        if self._owning is not None:
            self._is_disowned = True
            self._owning.cancel()

    async def until_idle(self) -> None:
        """Return when this process is in place as the owner, and nothing is left to do; an outage is waited for."""
        while True:
            await self.is_up.wait()
            if self._worker is not None and not await self._is_pending(self._worker):
                return
            await asyncio.sleep(IDLE_LOOK_S)

    async def _is_pending(self, worker: MarketWorker) -> bool:
        try:
            return await worker.has_work()
        except (KafkaError, *DATABASE_ERRORS) as error:
            if not is_unavailable(error):
                raise
            return True

    async def finish(self) -> None:
        """End cleanly: the current record is finished, and the next owner continues after it.

        If a topic is at fault or another process becomes the owner meanwhile, end as then.
        """
        worker, stream = self._worker, self._stream
        if worker is not None and self.is_up.is_set():
            async with self._endings:
                await self._finish(worker)
            if stream is not None:
                await stream.leave()
        await self.abandon()

    async def _finish(self, worker: MarketWorker) -> None:
        finishing = self._finishing = asyncio.create_task(self._guarded(worker.finish()), name=self.name)
        try:
            await asyncio.wait([finishing])
        finally:
            finishing.cancel()

    async def abandon(self) -> None:
        """End at once, in the middle of a record that may never be written: another owner takes it again."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
        await self._end()
        if self._watch is not None:
            self._watch.remove(self._task.market)

    async def _serve(self) -> None:
        bind_contextvars(market=self._task.market)  # for every line that the tasks of this market log
        if self._watch is not None:
            await self._watch.add(self._task.market)
        backoff = Backoff()
        while True:
            if self._watch is not None:
                await self._watch.until_sound(self._task.market)
            await self._is_owner.wait()
            self._is_disowned = False
            self._owning = asyncio.create_task(self._own_until_an_outage(), name=self.name)
            try:
                await self._until_over(self._owning)
            finally:
                is_outage = self._owning.done()
                if self.is_up.is_set():
                    backoff.reset()
                self.is_up.clear()
                self._owning.cancel()
                await asyncio.wait([self._owning])
                await self._end()
            if is_outage and not self._is_disowned:
                await backoff.wait()

    async def _until_over(self, owning: asyncio.Task[None]) -> None:
        """Return when a topic of the market is at fault, or another process is the owner."""
        watch, market = self._watch, self._task.market
        if watch is None:
            await asyncio.wait([owning])
            is_faulty = False
        else:
            faulty = asyncio.create_task(watch.until_faulty(market))
            try:
                await asyncio.wait({owning, faulty}, return_when=asyncio.FIRST_COMPLETED)
                is_faulty = faulty.done() or (_has_failed(owning) and await watch.is_faulty(market))
            finally:
                faulty.cancel()
        if is_faulty:
            log.error("%s rests: a topic is at fault", self.name, extra={"market": market})
        elif not self._is_disowned:
            await owning

    async def _own_until_an_outage(self) -> None:
        """Work as the owner. Returns when the broker does not answer at the beginning; an error of ours is raised."""
        try:
            await self._own()
        except (KafkaError, TimeoutError) as error:
            if not isinstance(error, TimeoutError) and not is_unavailable(error):
                raise
            log.warning("%s begins again: %r", self.name, error)

    async def _own(self) -> None:
        take_on(self._task)
        self._has_turn = False
        self._worker = worker = self._build(self._app, self._task.market, self._settings)
        watchdog = StallWatchdog(self._task, self._settings.standstill_s, worker.advance, self._has_work)
        async with alongside(watchdog.watch(), self.name):
            async with self._beginnings:
                self._has_turn = True
                offset = await worker.begin()
            if offset is None:
                self._is_in_place()
                await asyncio.Event().wait()
                return
            self._stream = MarketStream(self._app, worker)
            await self._stream.start(offset)
            self._is_in_place()
            await self._guarded(worker.work())

    async def _has_work(self) -> bool:
        """Whether work is pending, other than a turn to begin.

        The worker is asked only if its log is not read to the end: it asks database and broker.
        """
        worker, stream = self._worker, self._stream
        if worker is None or not self._has_turn or (stream is not None and await stream.is_done()):
            return False
        return await worker.has_work()

    def _is_in_place(self) -> None:
        self.is_up.set()
        log.info("%s is up", self.name)

    async def _end(self) -> None:
        """Close whatever is open; nothing begins again before that is done, even if the caller is cancelled."""
        worker, self._worker = self._worker, None
        stream, self._stream = self._stream, None
        if worker is not None:
            worker.release()
            self._ending = asyncio.create_task(self._close(worker, stream), name=self.name)
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def _close(self, worker: MarketWorker, stream: MarketStream | None) -> None:
        if self._finishing is not None:
            self._finishing.cancel()  # before its worker is disconnected
            await asyncio.wait([self._finishing])
        if stream is not None:
            await stream.stop()
        give_up(self._task)
        with suppress(TimeoutError):
            await asyncio.wait_for(worker.disconnect(), DISCONNECT_WITHIN_S)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        await fail_fast(work, self.name)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
