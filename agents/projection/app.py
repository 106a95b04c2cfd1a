"""The projection agent: the Faust app `projection-{market}`, without tables."""

from typing import Any

import faust

from agents.projection.persister import Persister
from agents.projection.worker import Projector
from agents.worker.fail_stop import fail_fast
from agents.worker.faust_app import faust_app, raw_topic
from agents.worker.host import FaustUnit
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StallWatchdog
from schemas.topics import events_topic, projection_app_id
from store.session.presence import Task, Work


def projection_unit(market: str, settings: StreamSettings, persister: Persister | None = None) -> FaustUnit:
    """The projection of a market, ready to be hosted; the markets of a process share a persister."""
    app, projector = projection_app(market, settings, persister)
    watch = StallWatchdog(Task(Work.PROJECTION, market), settings.standstill_s, projector.advance, projector.has_work)
    return FaustUnit(app, watch, after_stop=projector.close)


def projection_app(
    market: str, settings: StreamSettings, persister: Persister | None = None
) -> tuple[faust.App, Projector]:
    """The app and the projector it feeds. An exception in either ends the process with nothing acknowledged."""
    app = faust_app(projection_app_id(market), settings)
    projector = Projector(market, settings, persister)

    @app.agent(raw_topic(app, events_topic(market)), name=f"project-{market}")
    async def project(stream: Any) -> None:
        """Persist the events of a market to PostgreSQL, many in one transaction."""
        async for event in stream.noack().events():
            await fail_fast(projector.take(event), projector.name)

    @app.task  # type: ignore[untyped-decorator]  # Faust's classes are untyped
    async def persist() -> None:
        await fail_fast(projector.work(), projector.name)

    return app, projector
