"""The publishing agent: the Faust app `publisher-{market}`, without tables."""

from typing import Any

import faust

from agents.fills.shared_producer import SharedProducer
from agents.fills.worker import Publisher
from agents.worker.fail_stop import fail_fast
from agents.worker.faust_app import faust_app, raw_topic
from agents.worker.host import FaustUnit
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StallWatchdog
from schemas.topics import events_topic, publisher_app_id
from store.session.presence import Task, Work


def publisher_unit(market: str, settings: StreamSettings, shared: SharedProducer | None = None) -> FaustUnit:
    """The publisher of a market, ready to be hosted; the markets of a process share a producer."""
    app, publisher = publisher_app(market, settings, shared)
    watch = StallWatchdog(Task(Work.PUBLISHER, market), settings.standstill_s, publisher.advance, publisher.has_work)
    return FaustUnit(app, watch, after_stop=publisher.disconnect)


def publisher_app(
    market: str, settings: StreamSettings, shared: SharedProducer | None = None
) -> tuple[faust.App, Publisher]:
    """The app and the publisher it feeds. An exception in either ends the process with nothing acknowledged."""
    app = faust_app(publisher_app_id(market), settings)
    publisher = Publisher(market, settings, shared)

    @app.on_partitions_revoked.connect
    async def release(_: Any, /, *__: Any, **___: Any) -> None:
        publisher.release()

    @app.agent(raw_topic(app, events_topic(market)), name=f"publish-{market}")
    async def publish(stream: Any) -> None:
        """Publish the fills of a market for external consumers."""
        async for event in stream.noack().events():
            await fail_fast(publisher.take(event), publisher.name)

    return app, publisher
