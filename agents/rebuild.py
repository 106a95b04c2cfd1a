"""Which broker this exchange belongs to, and rebuilding it on an empty one: losing the whole broker loses no data."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from agents.worker.database import ask_once
from agents.worker.settings import StreamSettings
from broker.errors import LogMismatch
from broker.producer import AckedProducer
from broker.reader import last_record
from exchange.engine.log.snapshot_format import load
from schemas.topics import PUBLISHED, book_changelog_topic, commands_topic, events_topic
from store.advance import Advance, unseen
from store.command_log.broker_identity import claim_cluster, raise_epoch, read_cluster, replace_cluster
from store.command_log.outbox import set_cursor
from store.command_log.snapshots import forget_ahead_of_progress, newest_snapshot_at_or_before_progress
from store.markets.progress import read_market_progress
from store.session.advisory_locks import LockClass, try_lock
from store.session.connect import Connection
from store.session.presence import ProcessName, read_workers
from tables.book_table import BEFORE_THE_FIRST_RECORD, snapshot_entries, snapshot_of

CLAIM_WITHIN_S = 5.0
CLAIM_EVERY_S = 0.1

log = logging.getLogger(__name__)


class MovedMarket(NamedTuple):
    """A market on its new broker: the epoch of its new logs, and the last command that its snapshot covers."""

    market: str
    epoch: int
    after_command: int


class RebuildRefused(Exception):
    """A rebuild that must not start."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkersRun(RebuildRefused):
    """Stream workers are running: a rebuild would move their markets to other logs while they work."""

    def __init__(self, running: Sequence[ProcessName]) -> None:
        names = ", ".join(f"{name.kind} {name.place}" for name in running)
        super().__init__(f"workers run: stop them first ({names})")


async def check_broker(settings: StreamSettings, cluster_id: str) -> None:
    """Check that this is the broker of the exchange; an exchange without one claims it. Raises LogMismatch.

    Every process checks before it works: a mistyped address must not start an empty exchange.
    """
    owner = await ask_once(settings.dsn, "check-broker", lambda session: claim_cluster(session, cluster_id))
    if owner != cluster_id:
        raise LogMismatch("cluster id of the broker", owner, cluster_id)


async def needs_rebuild(settings: StreamSettings, cluster_id: str) -> bool:
    """Whether the exchange belongs to another broker than this one."""
    owner = await ask_once(settings.dsn, "check-broker", read_cluster)
    return owner is not None and owner != cluster_id


async def rebuild(
    settings: StreamSettings, markets: Sequence[str], cluster_id: str, advance: Advance = unseen
) -> list[MovedMarket]:
    """Move the exchange onto an empty broker whose topics exist; returns where each market continues. Raises RebuildRefused.

    1. Take the locks: no other rebuild and no worker may run (workers that are stopping have 5 s).
    2. Check that every log is empty, of records of another exchange and of our own: a foreign fill stream would make
       the publisher skip as many of our fills.
    3. Per market: raise the epoch, write the newest snapshot at or before progress, set the relay's cursor to it.
       The same commands then give the same events with the same ids, and the projection drops what it has.
    4. Claim the broker last: a rebuild that was interrupted before can simply be run again.
    """
    producer = AckedProducer(settings.bootstrap)
    await producer.start()
    try:
        return await ask_once(
            settings.dsn,
            "rebuild",
            lambda session: _move(session, producer, settings, markets, cluster_id, advance=advance),
        )
    finally:
        await producer.stop()


async def _move(
    session: Connection,
    producer: AckedProducer,
    settings: StreamSettings,
    markets: Sequence[str],
    cluster_id: str,
    *,
    advance: Advance,
) -> list[MovedMarket]:
    await _be_alone(session)  # 1
    for done, market in enumerate(markets, 1):  # 2
        await _check_empty(settings.bootstrap, market)
        advance("checking the logs", done, len(markets))
    moved = []
    for market in markets:  # 3
        moved.append(await _move_market(session, producer, market))
        advance("moving the markets", len(moved), len(markets))
    await replace_cluster(session, cluster_id)  # 4
    return moved


async def _be_alone(session: Connection) -> None:
    deadline = asyncio.get_running_loop().time() + CLAIM_WITHIN_S
    for lock_class, refusal in (
        (LockClass.REBUILD, RebuildRefused("another rebuild is running")),
        (LockClass.WORKERS, None),
    ):
        while not await try_lock(session, lock_class):
            if asyncio.get_running_loop().time() > deadline:
                raise refusal or WorkersRun(await read_workers(session))
            await asyncio.sleep(CLAIM_EVERY_S)


async def _check_empty(bootstrap: str, market: str) -> None:
    for topic in (commands_topic(market), events_topic(market), *(topic(market) for topic in PUBLISHED)):
        if await last_record(bootstrap, topic) is not None:
            raise RebuildRefused(f"{topic} is not empty")


async def _move_market(session: Connection, producer: AckedProducer, market: str) -> MovedMarket:
    epoch = await raise_epoch(session, market)
    market_id = (await read_market_progress(session, market)).market_id
    await forget_ahead_of_progress(session, market_id)
    stored = await newest_snapshot_at_or_before_progress(session, market_id)
    if stored is not None:
        taken = snapshot_of(stored.state, load(stored.state), epoch, BEFORE_THE_FIRST_RECORD)
        await producer.send_all(book_changelog_topic(market), snapshot_entries(taken))
    moved = MovedMarket(market, epoch, stored.command_seq if stored is not None else 0)
    await set_cursor(session, market_id, moved.after_command)
    log.info("%s continues after command %d in epoch %d", market, moved.after_command, epoch)
    return moved
