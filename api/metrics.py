"""What the API counts for Prometheus: answers by route and status, and the batches that orders are submitted in.

An answer costs one step in a table of numbers, a batch a few more; nothing is counted by user.
"""

from collections import Counter
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

UNMATCHED = ("-", "unmatched")
"""Where no route was found: a stranger's paths and methods are no names of ours."""

BATCH_SIZE = Histogram(
    "perpetua_submission_batch_size",
    "Orders and cancels in a transaction; the sum is all that were submitted",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
BATCH_SECONDS = Histogram(
    "perpetua_submission_seconds",
    "How long a batch took to be committed",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)


class ResponseCounts(Collector):
    """Answers by method, route and status, since the process began."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, request: web.Request, status: int) -> None:
        """One more answer."""
        resource = request.match_info.route.resource
        method, path = (request.method, resource.canonical) if resource is not None else UNMATCHED
        self.count_of(method, path, status)

    def count_of(self, method: str, route: str, status: int) -> None:
        """One more answer of a route."""
        self._counts[method, route, status] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """All counts as they are now."""
        family = CounterMetricFamily(
            "perpetua_requests", "Answers by method, route and status", labels=("method", "route", "status")
        )
        for (method, path, status), count in list(self._counts.items()):
            family.add_metric((method, path, str(status)), count)
        yield family


RESPONSES = ResponseCounts()
REGISTRY.register(RESPONSES)
