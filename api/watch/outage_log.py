"""The reason of a 503 in the log: once, and again every ten seconds while it lasts, never once per request."""

import logging
import time

from prometheus_client import Counter

from store.session.connect import StoreUnavailable

REPEAT_EVERY_S = 10.0
OUTAGES = Counter(
    "perpetua_api_unavailable",
    "Queries and batches of the API that PostgreSQL did not serve, by the class of its error",
    ("error",),
)

log = logging.getLogger(__name__)
_logged_at_s: dict[str, float] = {}


def note_outage(error: StoreUnavailable) -> str:
    """Count and log why the database is unavailable (a full disk, too many connections); returns the class of the error."""
    cause = error.__cause__ or error
    name = type(cause).__name__
    OUTAGES.labels(name).inc()
    now_s = time.monotonic()
    if now_s - _logged_at_s.get(name, -REPEAT_EVERY_S) >= REPEAT_EVERY_S:
        _logged_at_s[name] = now_s
        log.error("the database is unavailable: %s: %s", name, cause, extra={"error": name})
    return name
