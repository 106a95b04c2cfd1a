"""The API's metrics for Prometheus: answers by route and status, and the batches of submitted orders and cancels.

An answer costs one counter increment, a batch a few more; nothing is counted per user.
"""

from collections import Counter
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import CounterMetricFamily
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


class ResponseCounts(Collector):
    """Answers by method, route and status, since the process started."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, request: web.Request, status: int) -> None:
        """Count an answer."""
        resource = request.match_info.route.resource
        method, path = (request.method, resource.canonical) if resource is not None else UNMATCHED
        self.count_of(method, path, status)

    def count_of(self, method: str, route: str, status: int) -> None:
        """Count an answer of a route."""
        self._counts[method, route, status] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The current counts."""
        family = CounterMetricFamily(
            "perpetua_requests", "Answers by method, route and status", labels=("method", "route", "status")
        )
        for (method, path, status), count in list(self._counts.items()):
            family.add_metric((method, path, str(status)), count)
        yield family


RESPONSES = ResponseCounts()
REGISTRY.register(RESPONSES)
