"""Fetch sessions of a reader (KIP-227): a broker remembers what the reader fetches, so a fetch names only what has changed.

aiokafka (0.14) names every log in every fetch, and each answer is about every log: a client with 200 logs spends more on that than
on their records. Its request says what is to be fetched from now on; what the broker does not know of it yet is sent.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

NO_SESSION = 0
FULL = 0
EPOCH_MAX = 2**31 - 1

Partition = tuple[str, int]
Wanted = Mapping[Partition, tuple[int, int]]
"""From which offset each partition is to be fetched, and at most how many bytes of it."""


class FetchSessions:
    """The sessions of one client, one with each broker. It has at most one fetch under way to a broker."""

    def __init__(self, send: Callable[..., Awaitable[Any]]) -> None:
        self._send = send
        self._sessions: dict[Any, _Session] = defaultdict(_Session)

    async def fetch(self, node_id: Any, request: Any, **more: Any) -> Any:
        """Send a fetch as the next one of the session; the answer is about those logs of it that have something new."""
        session = self._sessions[node_id]
        is_known = False
        try:
            answer = await self._send(node_id, session.next_request(request), **more)
            is_known = session.answered(answer, wanted_by(request))
        finally:
            if not is_known:  # also when this task is cancelled
                session.begin_again()
        return answer


class _Session:
    """What a broker remembers. A request with epoch 0 ends the session that it names, if it is still there, and begins another."""

    def __init__(self) -> None:
        self._id = NO_SESSION
        self._epoch = FULL
        self._known: Wanted = {}

    def begin_again(self) -> None:
        """It is uncertain what the broker remembers: name everything in the next request."""
        self._epoch, self._known = FULL, {}

    def next_request(self, request: Any) -> "_SessionFetch":
        """The request that makes the broker fetch what `request` names."""
        wanted = wanted_by(request)
        changed = {each: wanted[each] for each in wanted if self._known.get(each) != wanted[each]}
        return _SessionFetch(request, (self._id, self._epoch), changed, self._known.keys() - wanted.keys())

    def answered(self, answer: Any, wanted: Wanted) -> bool:
        """Remember what the broker does; False when it has no such session."""
        self._id = getattr(answer, "session_id", NO_SESSION)  # a broker before Kafka 1.1 has none
        if self._id == NO_SESSION or answer.error_code != 0:
            return False
        self._epoch = self._epoch + 1 if self._epoch < EPOCH_MAX else 1
        self._known = wanted
        return True


class _SessionFetch(FetchRequest):  # type: ignore[misc]  # aiokafka is untyped
    """A fetch within a session."""

    def __init__(self, request: Any, session: tuple[int, int], changed: Wanted, forgotten: Iterable[Partition]) -> None:
        super().__init__(*_naming(request, changed, request._max_wait_ms))
        self._session = session
        self._forgotten = _by_topic({each: each[1] for each in forgotten})
        self._all = request

    def build(self, struct: Any) -> Any:
        """The request in a version of the protocol; the whole one in versions without sessions."""
        if struct.API_VERSION < 7:
            return self._all.build(struct)
        built = super().build(struct)
        built.session_id, built.session_epoch = self._session
        built.forgotten_topics_data = self._forgotten
        return built


def wanted_by(request: Any) -> Wanted:
    """What a fetch of aiokafka asks for."""
    return {(topic, partition): tuple(what) for topic, partitions in request.topics for partition, *what in partitions}


def part_of(request: Any, wanted: Wanted, max_wait_ms: int) -> FetchRequest:
    """A fetch like this one, of some of its partitions, which the broker holds as long when there is no record."""
    return FetchRequest(*_naming(request, wanted, max_wait_ms))


def _naming(request: Any, wanted: Wanted, max_wait_ms: int) -> tuple[Any, ...]:
    return (
        max_wait_ms,
        request._min_bytes,
        request._max_bytes,
        request._isolation_level,
        _by_topic({each: (each[1], *what) for each, what in wanted.items()}),
        request._rack_id,
    )


def _by_topic(each: Mapping[Partition, Any]) -> list[tuple[str, list[Any]]]:
    topics: dict[str, list[Any]] = defaultdict(list)
    for (topic, _), what in each.items():
        topics[topic].append(what)
    return list(topics.items())
