"""The API's metrics for Prometheus: answers by route and status, their durations, and the batches of submitted orders and cancels.

An answer costs three increments, a batch a few more; nothing is counted per user.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from aiohttp import web
from prometheus_client import REGISTRY, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

UNMATCHED = ("-", "unmatched")
"""Requests without a route: the paths and methods that clients make up must not become labels."""

BATCH_SIZE = Histogram(
    "perpetua_submission_batch_size",
    "Orders and cancels per transaction; the sum is the number submitted",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
BATCH_SECONDS = Histogram(
    "perpetua_submission_seconds",
    "Time until a batch was committed",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_SWITCHED = 101


def route_of(request: web.Request) -> tuple[str, str]:
    """The method and the template of the path; UNMATCHED for a request without a route."""
    resource = request.match_info.route.resource
    return (request.method, resource.canonical) if resource is not None else UNMATCHED


class _Durations:
    """How many answers of a route took at most as long as each bucket, and their sum."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BUCKETS_S) + 1)
        self.total_s = 0.0

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them: each holds those before it."""
        names = [*map(str, DURATION_BUCKETS_S), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Responses(Collector):
    """Answers by method, route and status, and their durations by method and route, since the process started."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._durations: defaultdict[tuple[str, str], _Durations] = defaultdict(_Durations)

    def count(self, route: tuple[str, str], status: int, seconds: float) -> None:
        """Count an answer of a route that took so long; a socket is answered by its handshake, and lasts."""
        self._counts[*route, status] += 1
        if status == _SWITCHED:
            return
        durations = self._durations[route]
        durations.counts[bisect_left(DURATION_BUCKETS_S, seconds)] += 1
        durations.total_s += seconds

    def collect(self) -> Iterator[Metric]:
        """The current counts."""
        counts = CounterMetricFamily(
            "perpetua_requests", "Answers by method, route and status", labels=("method", "route", "status")
        )
        for (method, path, status), count in list(self._counts.items()):
            counts.add_metric((method, path, str(status)), count)
        yield counts
        durations = HistogramMetricFamily(
            "perpetua_request_seconds", "Time from the parsed request to its answer", labels=("method", "route")
        )
        for route, measured in list(self._durations.items()):
            durations.add_metric(route, measured.cumulative(), measured.total_s)
        yield durations


RESPONSES = Responses()
REGISTRY.register(RESPONSES)
