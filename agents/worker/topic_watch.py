"""Watching the topics of a worker's markets: work on a market rests while a topic of it is missing or set up wrongly."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiokafka.errors import KafkaError

from agents.worker.database import DATABASE_ERRORS, ask_once
from agents.worker.settings import StreamSettings
from broker.topic_faults import TopicFault, read_topic_faults
from broker.topics import topic_settings
from schemas import topics
from store.markets.rests import end_rests, note_rests
from store.session.presence import Work

LOOK_EVERY_S = 5.0
LOOK_EVERY_S_A_MARKET = 0.2
"""With many markets a look costs the broker much. Work that meets a fault has it looked at, at once."""
FIRST_LOOK_AGAIN_S = 0.5

NEEDED: Mapping[Work, tuple[Callable[[str], str], ...]] = {
    Work.RELAY: (topics.commands_topic,),
    Work.ENGINE: (topics.commands_topic, topics.events_topic, topics.book_changelog_topic),
    Work.PROJECTION: (topics.commands_topic, topics.events_topic),
    Work.PUBLISHER: (topics.events_topic, *topics.PUBLISHED),
}
"""The topics of a market without which a kind of work cannot go on."""

log = logging.getLogger(__name__)


class TopicWatch:
    """Looks at the topics of all markets of one process: every 5 s, with many markets more rarely; at a fault again soon.

    While the broker does not answer, what was seen last holds: an outage is no fault of a topic.
    """

    def __init__(self, work: Work, settings: StreamSettings) -> None:
        self.work = work
        self._settings = settings
        self._markets: set[str] = set()
        self._seen: set[str] = set()
        self._named: set[TopicFault] = set()
        self._rests: dict[str, str] = {}
        self._changed = asyncio.Condition()
        self._asked = asyncio.Event()
        self._begun = 0
        self._answered = 0  # the newest look that the broker has answered

    async def add(self, market: str) -> None:
        """Watch a market too; returns when its topics have been looked at, or the broker does not answer."""
        self._markets.add(market)
        self._asked.set()
        async with self._changed:
            await self._changed.wait_for(lambda: market in self._seen)

    def remove(self, market: str) -> None:
        """Watch a market no longer."""
        self._markets.discard(market)
        self._seen.discard(market)

    async def until_sound(self, market: str) -> None:
        """Return when nothing is wrong with the topics of a market."""
        async with self._changed:
            await self._changed.wait_for(lambda: market not in self._rests)

    async def until_faulty(self, market: str) -> str:
        """Return when a topic of the market is missing or set up wrongly."""
        async with self._changed:
            await self._changed.wait_for(lambda: market in self._rests)
            return self._rests[market]

    async def is_faulty(self, market: str) -> bool:
        """Whether a look that begins now finds a fault of a watched market; waits until the broker answers.

        A look that is under way may have asked before the fault.
        """
        begun = self._begun
        self._asked.set()
        async with self._changed:
            await self._changed.wait_for(lambda: self._answered > begun)
            return market in self._rests

    async def run(self) -> None:
        """Look, forever."""
        wait_s = FIRST_LOOK_AGAIN_S
        while True:
            self._asked.clear()
            self._begun += 1
            before, markets = self._rests, set(self._markets)
            try:
                self._rests = self._resting(markets, await self._look(markets))
                self._answered = self._begun
            except (KafkaError, TimeoutError) as error:
                log.warning("the topics are not looked at: %r", error)
            self._seen |= markets
            async with self._changed:
                self._changed.notify_all()
            await self._publish(before)
            wait_s = min(2 * wait_s, LOOK_EVERY_S) if self._rests == before else FIRST_LOOK_AGAIN_S
            is_answered = self._answered == self._begun
            every_s = max(LOOK_EVERY_S, LOOK_EVERY_S_A_MARKET * len(self._markets))
            await self._pause(every_s if is_answered and not self._rests else wait_s)

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._asked.wait()

    async def _look(self, markets: set[str]) -> list[TopicFault]:
        if not markets:
            return []
        needed = {topic(market) for market in markets for topic in NEEDED[self.work]}
        replication = self._settings.replication
        wanted = {name: each for name, each in topic_settings(markets, replication) if name in needed}
        return await read_topic_faults(self._settings.bootstrap, wanted, replication)

    def _resting(self, markets: set[str], faults: list[TopicFault]) -> dict[str, str]:
        for fault in set(faults) - self._named:
            log.log(logging.ERROR if fault.is_fatal else logging.WARNING, "%s", fault)
        self._named = set(faults)
        fatal = defaultdict(list)
        for fault in faults:
            if fault.is_fatal:
                fatal[fault.topic].append(str(fault))
        reasons = {market: [text for topic in NEEDED[self.work] for text in fatal[topic(market)]] for market in markets}
        return {market: "; ".join(found) for market, found in reasons.items() if found}

    async def _publish(self, before: Mapping[str, str]) -> None:
        """Show operators what rests; an unavailable database shows it at the next look."""
        ended = sorted(before.keys() - self._rests.keys())
        if not (self._rests or ended):
            return
        reasons = dict(self._rests)
        try:
            if reasons:
                await ask_once(self._settings.dsn, "topics", lambda session: note_rests(session, self.work, reasons))
            if ended:
                await ask_once(self._settings.dsn, "topics", lambda session: end_rests(session, self.work, ended))
        except DATABASE_ERRORS as error:
            log.warning("what rests is not shown: %r", error)
