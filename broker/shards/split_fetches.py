"""Fetches busy logs and quiet ones apart: a broker looks at every log that a fetch covers, whatever the fetch brings.

Quiet logs share a fetch that the broker holds until one of them has a record. Busy ones share another, over a connection of its
own: a broker answers the requests of a connection one after another. A log is busy for a while after each record.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.client import ConnectionGroup

from broker.shards.fetch_sessions import FetchSessions, Partition, Wanted, part_of, wanted_by

SPLIT_FROM_LOGS = 10
"""Fewer share one fetch: it costs no more than two."""
BUSY_FOR_S = 0.5
QUIET_MAX_WAIT_MS = 1_000
QUIET_GATHERS = 2
"""A fetch of quiet logs waits this many times as long for more records: it covers many logs, and brings few."""
GATHER_MIN_S = 0.001
QUIET_CONNECTION = ConnectionGroup.COORDINATION  # a reader in no group has no other use for it

Send = Callable[..., Awaitable[Any]]
Gather = Callable[[int, int], float]
"""Seconds that the next fetch waits after one of this many logs that has brought records of some."""


class SplitFetches:
    """The fetches of one client, two at most under way to each broker."""

    def __init__(self, send: Send, gather_s: Gather) -> None:
        self._nodes: dict[Any, _Node] = defaultdict(lambda: _Node(send, gather_s))

    async def fetch(self, node_id: Any, request: Any) -> Any:
        """The next answer about some of what this fetch asks for. What is under way when it is cancelled goes on."""
        return await self._nodes[node_id].fetch(node_id, request)

    async def close(self) -> None:
        """Wait for no answer any more. Call it once the client is stopped: until then it may fetch again."""
        for node in self._nodes.values():
            await node.close()


class _Node:
    """What is fetched from one broker."""

    def __init__(self, send: Send, gather_s: Gather) -> None:
        async def send_apart(node_id: Any, request: Any) -> Any:
            return await send(node_id, request, group=QUIET_CONNECTION)

        self._busy = _Fetch(send, gather_s)
        self._quiet = _Fetch(send_apart, lambda logs, with_records: QUIET_GATHERS * gather_s(logs, with_records))
        self._busy_until_s: dict[Partition, float] = {}

    async def fetch(self, node_id: Any, request: Any) -> Any:
        """As that of SplitFetches."""
        wanted = wanted_by(request)
        self._begin(node_id, request, wanted)
        under_way = {each.answer: each for each in (self._busy, self._quiet) if each.answer is not None}
        answered, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        answer, with_records = under_way[answered.pop()].take(wanted)
        busy_until_s = asyncio.get_running_loop().time() + BUSY_FOR_S
        self._busy_until_s.update(dict.fromkeys(with_records, busy_until_s))
        return answer

    async def close(self) -> None:
        """Wait for no answer any more."""
        for each in (self._busy, self._quiet):
            await each.close()

    def _begin(self, node_id: Any, request: Any, wanted: Wanted) -> None:
        """Fetch what is wanted and not under way. A log is never left out: what one fetch does not cover, the other one does."""
        if self._quiet.answer is None and len(wanted) >= SPLIT_FROM_LOGS:
            rest = _not_in(self._busy.wanted, wanted)
            if self._busy.answer is None:
                self._forget_quiet_ones()
                rest = {each: what for each, what in rest.items() if each not in self._busy_until_s}
            self._quiet.begin(node_id, part_of(request, rest, QUIET_MAX_WAIT_MS))
        if self._busy.answer is None:
            rest = _not_in(self._quiet.wanted, wanted)
            busy = {each: what for each, what in wanted.items() if each in rest or each in self._busy_until_s}
            self._busy.begin(node_id, part_of(request, busy, request._max_wait_ms))

    def _forget_quiet_ones(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for each in [each for each, until_s in self._busy_until_s.items() if until_s <= now_s]:
            del self._busy_until_s[each]


class _Fetch:
    """A fetch of some logs after another; `answer` is of the one under way, and `wanted` what it asks for."""

    def __init__(self, send: Send, gather_s: Gather) -> None:
        self.answer: asyncio.Task[Any] | None = None
        self.wanted: Wanted = {}
        self._sessions = FetchSessions(send)
        self._gather_s = gather_s
        self._not_before_s = 0.0

    def begin(self, node_id: Any, request: Any) -> None:
        """Fetch, if there is anything to be fetched."""
        self.wanted = wanted_by(request)
        if self.wanted:
            self.answer = asyncio.create_task(self._fetch(node_id, request))

    def take(self, wanted: Wanted) -> tuple[Any, list[Partition]]:
        """The answer, about what is still wanted from where it was fetched, and the logs that it has records of."""
        assert self.answer is not None, "begun before it is taken"  # noqa: S101 - a bug of ours, not a user's doing
        (done, self.answer), (fetched, self.wanted) = (self.answer, None), (self.wanted, {})
        answer = done.result()
        still_wanted = {each for each, what in fetched.items() if wanted.get(each) == what}
        answer.topics = [
            (topic, [each for each in partitions if (topic, each[0]) in still_wanted])
            for topic, partitions in answer.topics
        ]
        with_records = [(topic, each[0]) for topic, partitions in answer.topics for each in partitions if each[-1]]
        if with_records:
            self._not_before_s = asyncio.get_running_loop().time() + self._gather_s(len(fetched), len(with_records))
        return answer, with_records

    async def close(self) -> None:
        """Wait for no answer any more."""
        if self.answer is not None:
            self.answer.cancel()
            await asyncio.gather(self.answer, return_exceptions=True)

    async def _fetch(self, node_id: Any, request: Any) -> Any:
        wait_s = self._not_before_s - asyncio.get_running_loop().time()
        if wait_s >= GATHER_MIN_S:
            await asyncio.sleep(wait_s)
        return await self._sessions.fetch(node_id, request)


def _not_in(covered: Wanted, wanted: Wanted) -> Wanted:
    return {each: what for each, what in wanted.items() if covered.get(each) != what}
