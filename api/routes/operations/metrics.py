"""Metrics for Prometheus: how far each market lags behind, whether the books balance, and this process's own counters.

Metrics that come from the database are read at every scrape, for all processes; while it is down, `perpetua_database_up`
is 0, they are missing, and the process's own counters are still served.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Gauge, generate_latest

from api.route import Answer, Route
from api.services import Services, services_of
from store.markets.backlog import MarketLoad
from store.queries.operations.business import Business, MarketBusiness
from store.queries.operations.health import AuditRun, read_last_audit
from store.queries.operations.lags import MarketLag, read_lags, read_oldest_transaction_s
from store.session.connect import Session, StoreUnavailable

_OF_MARKETS: dict[str, tuple[str, Callable[[MarketLoad], float]]] = {
    "perpetua_backlog_commands": ("Commands accepted and not yet persisted", lambda load: load.backlog),
    "perpetua_backlog_oldest_seconds": ("Age of the oldest of them", lambda load: load.oldest_age_s),
    "perpetua_mark_age_seconds": ("Age of the mark, 0 where the index is constant", lambda load: load.mark_age_s),
}
_OF_LAGS: dict[str, tuple[str, Callable[[MarketLag], float | None]]] = {
    "perpetua_relay_lag_commands": ("Commands accepted and not yet in the log", lambda lag: lag.unsent),
    "perpetua_relay_lag_seconds": ("Age of the oldest of them: of the outbox", lambda lag: lag.unsent_age_s),
    "perpetua_projection_lag_commands": ("Commands in the log and not yet persisted", lambda lag: lag.unpersisted),
    "perpetua_projection_lag_seconds": ("Age of the oldest of them", lambda lag: lag.unpersisted_age_s),
    "perpetua_outbox_kept_commands": ("Commands in the outbox that no kept snapshot covers", lambda lag: lag.kept),
    "perpetua_stored_snapshot_age_seconds": (
        "Age of the newest snapshot in PostgreSQL, from which a lost broker is rebuilt",
        lambda lag: lag.snapshot_age_s,
    ),
    "perpetua_market_halted": ("1 for a market that the exchange itself has halted", lambda lag: lag.is_halted),
    "perpetua_market_finished": (
        "1 for a settled market without a command under way, which needs no worker",
        lambda lag: lag.is_finished,
    ),
    "perpetua_market_rests": ("1 for a market that a worker leaves alone because of a topic", lambda lag: lag.rests),
}
_OF_BUSINESS: dict[str, tuple[str, Callable[[MarketBusiness], float]]] = {
    "perpetua_open_orders": ("Orders that are live", lambda business: business.open_orders),
    "perpetua_waiting_orders": (
        "Conditional orders that wait for their condition or their margin",
        lambda business: business.waiting_orders,
    ),
    "perpetua_open_positions": ("Positions that are open, long and short", lambda business: business.positions),
    "perpetua_open_interest": (
        "Quantity of the long positions, in the base asset",
        lambda business: business.open_interest,
    ),
    "perpetua_trades": ("Trades since the market was listed", lambda business: business.trades),
    "perpetua_notional_24h": (
        "Notional traded in 24 hours, in the quote asset",
        lambda business: business.notional_24h,
    ),
}
_OF_AUDITS: dict[str, tuple[str, Callable[[AuditRun], float]]] = {
    "perpetua_audit_difference_micros": (
        "Difference that the last audit found; anything but 0 halts the markets",
        lambda run: run.difference,
    ),
    "perpetua_audit_findings": ("Broken invariants that the last audit found", lambda run: run.findings),
    "perpetua_audit_duration_seconds": ("Duration of the last audit", lambda run: run.took_ms / 1_000),
    "perpetua_audit_timestamp_seconds": ("Time of the last audit", lambda run: run.at / 1_000_000),
}


class _Stored(NamedTuple):
    """Metrics read from the database."""

    audit: AuditRun | None
    lags: list[MarketLag]
    oldest_transaction_s: float


async def metrics(request: web.Request) -> web.Response:
    """All current metrics."""
    services = services_of(request)
    try:
        stored = await services.database.run(lambda session: _read(session, services))
    except StoreUnavailable:
        stored = None
    business = await _business(services) if stored is not None else None
    body = _metrics(services, stored, business) + generate_latest()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def _read(session: Session, services: Services) -> _Stored:
    lags = await read_lags(session, services.now())
    return _Stored(await read_last_audit(session), lags, await read_oldest_transaction_s(session))


async def _business(services: Services) -> Business | None:
    """The business figures; None while they cannot be read in time, which says nothing about the database."""
    try:
        return await services.database.run(lambda session: services.business.read(session, services.now()))
    except StoreUnavailable:
        return None


def _metrics(services: Services, stored: _Stored | None, business: Business | None) -> bytes:
    """A new registry per scrape: the values of other processes are read, not kept."""
    registry = CollectorRegistry(auto_describe=False)
    for name, (about, measure) in _OF_MARKETS.items():
        rows = [((market,), measure(load)) for market, load in services.load.current.items()]
        _set(registry, name, about, ("market",), rows)
    waiting = [((), services.submissions.waiting)]
    _set(registry, "perpetua_requests_waiting", "Orders and cancels that wait for a batch", (), waiting)
    _set(registry, "perpetua_database_up", "1 while PostgreSQL answers", (), [((), stored is not None)])
    if stored is not None:
        _set_stored(registry, stored)
    if business is not None:
        _set_business(registry, business)
    return generate_latest(registry)


def _set_stored(registry: CollectorRegistry, stored: _Stored) -> None:
    if stored.audit is not None:
        for name, (about, audited) in _OF_AUDITS.items():
            _set(registry, name, about, (), [((), audited(stored.audit))])
    for name, (about, measure) in _OF_LAGS.items():
        _set(registry, name, about, ("market",), [((lag.market,), measure(lag)) for lag in stored.lags])
    shards = [((lag.market, lag.shard), 1) for lag in stored.lags]
    _set(registry, "perpetua_market_shard", "1 for the shard that a market is placed in", ("market", "shard"), shards)
    statuses = [((lag.market, lag.status), 1) for lag in stored.lags]
    _set(registry, "perpetua_market_status", "1 for the current status", ("market", "status"), statuses)
    about = "Age of the oldest transaction that holds rows or a snapshot"
    _set(registry, "perpetua_database_oldest_transaction_seconds", about, (), [((), stored.oldest_transaction_s)])


def _set_business(registry: CollectorRegistry, business: Business) -> None:
    for name, (about, measure) in _OF_BUSINESS.items():
        rows = [((each.market,), measure(each)) for each in business.markets]
        _set(registry, name, about, ("market",), rows)
    fund = [((), business.insurance_fund)]
    _set(registry, "perpetua_insurance_fund", "Money of the insurance fund, in the quote asset", (), fund)
    _set(registry, "perpetua_users", "Users registered", (), [((), business.users)])


def _set(
    registry: CollectorRegistry,
    name: str,
    about: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], float | None]],
) -> None:
    gauge = Gauge(name, about, labels, registry=registry)
    for values, number in rows:
        if number is not None:
            (gauge.labels(*values) if labels else gauge).set(number)


ROUTES = (
    Route(
        "GET",
        "/metrics",
        metrics,
        "getMetrics",
        "Prometheus metrics",
        {200: Answer(str, "Metrics in the Prometheus text format.")},
        content_type="text/plain",
        tag="health",
    ),
)
