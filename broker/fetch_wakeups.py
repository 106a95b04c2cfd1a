"""A fetcher that misses no wake-up (aiokafka 0.14.0): it goes on as soon as its last fetch from a node is over.

aiokafka tells the loop of a fetcher that a fetch is over, and notes a moment later that the node is free. A loop that a seek, another
assignment or a log read to its end wakes in between finds the node busy, fetches nothing, and sleeps: nobody wakes it again.
"""

from typing import Any

from aiokafka import AIOKafkaConsumer

FETCHER_SLEEPS_MS = 5_000
"""How long the fetcher of a client sleeps when nothing wakes it: its `consumer_timeout_ms`. It has nothing to look for.

aiokafka's default of 200 ms makes every idle client wake its process five times a second. It also hides the missed wake-ups.
"""


class _NodesInFlight(set[int]):
    """The nodes that a fetch is under way from; the loop of the fetcher is woken when one is free."""

    def __init__(self, fetcher: Any) -> None:
        super().__init__(fetcher._in_flight)
        self._fetcher = fetcher

    def discard(self, node: object) -> None:
        super().discard(node)
        self._fetcher._notify(self._fetcher._wait_consume_future)


def miss_no_wakeup(started: AIOKafkaConsumer) -> None:
    """Wake the fetcher of a client, whose private names this uses, whenever a node is free."""
    fetcher: Any = started._fetcher
    fetcher._in_flight = _NodesInFlight(fetcher)
