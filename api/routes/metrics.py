"""Figures for Prometheus: whether the books balance, and how far each market is behind."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from api.route import Answer, Route
from api.services import Services, services_of
from store.backlog import MarketLoad
from store.queries.health import AuditRun, read_last_audit

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_MARKETS: dict[str, tuple[str, Callable[[MarketLoad], float]]] = {
    "perpetua_backlog_commands": ("Commands accepted and not yet persisted", lambda load: load.backlog),
    "perpetua_backlog_oldest_seconds": ("Age of the oldest of them", lambda load: load.oldest_age_s),
    "perpetua_mark_age_seconds": ("Age of the mark, 0 where the index is constant", lambda load: load.mark_age_s),
}
_OF_AUDITS: dict[str, tuple[str, Callable[[AuditRun], float]]] = {
    "perpetua_audit_difference_micros": (
        "What the last audit was off by; anything but 0 halts",
        lambda run: run.difference,
    ),
    "perpetua_audit_findings": ("Broken invariants that the last audit found", lambda run: run.findings),
    "perpetua_audit_duration_seconds": ("How long the last audit took", lambda run: run.took_ms / 1_000),
    "perpetua_audit_timestamp_seconds": ("When the last audit ran", lambda run: run.at / 1_000_000),
}


async def metrics(request: web.Request) -> web.Response:
    """All figures as they are now."""
    services = services_of(request)
    audit = await services.database.run(read_last_audit)
    return web.Response(body=_figures(services, audit), headers={"Content-Type": _CONTENT_TYPE})


def _figures(services: Services, audit: AuditRun | None) -> bytes:
    """A registry of this moment: what another process counts is read, not remembered."""
    registry = CollectorRegistry(auto_describe=False)
    for name, (about, figure) in _OF_AUDITS.items():
        if audit is not None:
            Gauge(name, about, registry=registry).set(figure(audit))
    for name, (about, measure) in _OF_MARKETS.items():
        gauge = Gauge(name, about, ["market"], registry=registry)
        for market, load in services.load.current.items():
            gauge.labels(market).set(measure(load))
    Gauge("perpetua_requests_waiting", "Orders and cancels that wait", registry=registry).set(
        services.submissions.waiting
    )
    return generate_latest(registry)


ROUTES = (
    Route(
        "GET",
        "/metrics",
        metrics,
        "Figures for Prometheus",
        {200: Answer(str, "The text format of Prometheus.")},
        content_type="text/plain",
        tag="health",
    ),
)
