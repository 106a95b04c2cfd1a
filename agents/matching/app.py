"""The matching agent: the Faust app `engine-{market}` around one market."""

import logging
from collections.abc import Awaitable
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.types import TP

from agents.matching.worker import Matcher
from agents.worker.fail_stop import fail_fast
from agents.worker.faust_app import faust_app, raw_topic
from agents.worker.host import FaustUnit
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StallWatchdog
from broker.unreadable import PARTITION
from schemas.topics import commands_topic, engine_app_id
from store.crash_points import CrashPoint, passing
from store.session.presence import Task, Work
from tables.book_table import declare_book_table
from tables.safe_recovery import restored

SNAPSHOT_CHECK_S = 1.0
COPY_EVERY_S = 60.0

log = logging.getLogger(__name__)


def engine_unit(market: str, settings: StreamSettings) -> FaustUnit:
    """The engine of a market, ready to be hosted."""
    app, matcher = engine_app(market, settings)

    def advance() -> object:
        return matcher.advance(), restored(app)

    watch = StallWatchdog(Task(Work.ENGINE, market), settings.standstill_s, advance, matcher.has_work)
    return FaustUnit(app, watch, before_stop=matcher.close, after_stop=matcher.disconnect)


def engine_app(market: str, settings: StreamSettings) -> tuple[faust.App, Matcher]:
    """The app and the matcher it drives. An exception in either ends the process: Faust would continue without it."""
    app = faust_app(engine_app_id(market), settings)
    table = declare_book_table(app, market)
    matcher = Matcher(market, settings, table)

    @table.on_recover  # type: ignore[untyped-decorator]  # Faust's classes are untyped
    async def recover() -> None:
        if _owns(app, market):
            await fail_fast(matcher.recover(), matcher.name)
            await fail_fast(_through_outages(matcher.snapshots.pass_foreign_end()), matcher.name)

    @app.on_partitions_revoked.connect
    async def release(_: Any, /, *revoked: Any, **__: Any) -> None:
        matcher.release()
        if any(revoked):
            passing(CrashPoint.DURING_REBALANCE)

    @app.agent(raw_topic(app, commands_topic(market)), name=f"match-{market}")
    async def match(stream: Any) -> None:
        """Match the commands of a market; events out, snapshots into its book table."""
        async for event in stream.noack().events():
            await fail_fast(matcher.handle(event), matcher.name)

    @app.timer(interval=SNAPSHOT_CHECK_S)  # type: ignore[untyped-decorator]
    async def take_snapshot() -> None:
        await fail_fast(matcher.snapshot_if_due(), matcher.name)
        await fail_fast(_through_outages(matcher.snapshots.pass_foreign_entries()), matcher.name)

    @app.timer(interval=COPY_EVERY_S)  # type: ignore[untyped-decorator]
    async def copy_snapshot() -> None:
        await fail_fast(matcher.copy_to_database(), matcher.name)

    return app, matcher


async def _through_outages(look: Awaitable[None]) -> None:
    """Look for foreign records; an unavailable broker shows them at the next recovery."""
    try:
        await look
    except (KafkaError, TimeoutError) as error:
        log.warning("foreign records are not looked for: %r", error)


def _owns(app: faust.App, market: str) -> bool:
    """Whether the command log of the market is assigned to this process; a standby recovers nothing."""
    return TP(commands_topic(market), PARTITION) in app.consumer.assignment()
