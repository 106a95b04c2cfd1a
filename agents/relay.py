"""The relay: commands of a market from the outbox into its command log, one record at a time, in order."""

import asyncio
import logging
import time

import msgspec

from agents.worker.halting import check_not_halted, check_record_is_known, halting_on_mismatch
from agents.worker.metrics import COMMANDS_RELAYED, RECORDS_RELAYED
from agents.worker.ownership import working
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from broker.command_records import record_or_none
from broker.errors import LogMismatch
from broker.producer import AckedProducer
from broker.reader import last_readable
from schemas.topics import commands_topic
from schemas.units import Timestamp
from schemas.wire import (
    COMMANDS_PER_RECORD_MAX,
    EVENT_RECORD_BYTES_MAX,
    CommandRecord,
    NumberedCommand,
    encode,
)
from store.command_log.outbox import (
    OutboxCommand,
    correct_cursor,
    prune,
    read_commands,
    read_cursor,
    read_pruned,
    record_sent,
)
from store.command_log.relay_session import prepare_relay_session
from store.command_log.snapshots import forget_old
from store.crash_points import CrashPoint, passing
from store.markets.progress import MarketProgress, read_market_progress
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.connect import Connection
from store.session.presence import Task, Work

POLL_ANNOUNCED_S = 0.25
POLL_UNANNOUNCED_S = 0.02
TIDY_EVERY_S = 10.0
PAUSE_A_COMMAND_S = 0.002
PAUSE_MAX_S = 0.02
PRUNED_WHILE_RELAYING = 2_000  # some milliseconds: commands wait meanwhile

log = logging.getLogger(__name__)


class OutboxHole(Exception):
    """The next command after the cursor is no longer in the outbox: the log must be rebuilt from a snapshot."""

    def __init__(self, market: str, expected: int, found: int) -> None:
        super().__init__(f"command {market}:{expected} is no longer in the outbox, the oldest is {found}")
        self.market = market
        self.expected = expected
        self.found = found


class Relay(Service):
    """The only writer of a market's command log; a second one waits for its lock."""

    def __init__(self, market: str, settings: StreamSettings) -> None:
        super().__init__(f"relay-{market}", settings.dsn)
        self._market = market
        self._settings = settings
        self._bootstrap = settings.bootstrap
        self._producer = AckedProducer(settings.bootstrap, market)
        self._woken = asyncio.Event()
        self._poll_s = POLL_ANNOUNCED_S
        self._tidy_at_s = 0.0
        self._persisted = -1
        self._sent_before = 0
        """The last command that was in the log or persisted when this relay started: an earlier relay recorded its time."""

    async def serve(self, session: Connection) -> None:
        """Relay commands; halts the market if its log and the database do not share a history."""
        await halting_on_mismatch(self._relay(session), self.name, self._market, self._settings)

    async def _relay(self, session: Connection) -> None:
        """Relay commands.

        1. Become the only relay of the market.
        2. Move the cursor back to the last command in the log, which must be one of this database's.
        3. Send the commands after the cursor, one record at a time, and advance it. A rewind is never overwritten.
           Pause longer after a larger record: commands that arrive meanwhile share the next record, which costs
           every later stage as much as a single command.
        4. When nothing is left, wait for a notification; if notifications are lost, poll every 20 ms.
        """
        market_id = (await read_market_progress(session, self._market)).market_id
        await wait_for_lock(session, LockClass.RELAY, market_id)  # 1
        progress = await read_market_progress(session, self._market)
        check_not_halted(self._market, progress)
        self._sent_before = progress.command_seq
        await self._producer.start()
        await self._correct_cursor(session, progress)  # 2
        await prepare_relay_session(session, self._on_command)
        log.info("relaying the commands of %s", self._market, extra={"market": self._market})
        with working(Task(Work.RELAY, self._market)):
            await self._send_forever(session, progress)

    async def _send_forever(self, session: Connection, progress: MarketProgress) -> None:
        """Steps 3 and 4, forever."""
        is_announced = True
        while True:
            self._woken.clear()
            if sent := await self._send_next(session, progress):  # 3
                self._poll_s = POLL_ANNOUNCED_S if is_announced else POLL_UNANNOUNCED_S
                await asyncio.sleep(pause_after(sent))
            else:
                is_announced = await self._wait_for_commands()  # 4
            await self._tidy_if_due(session, progress)

    async def stop(self) -> None:
        """Stop; the next relay may send a record in flight again."""
        await super().stop()
        await self._producer.stop()

    async def _correct_cursor(self, session: Connection, progress: MarketProgress) -> None:
        """Move a cursor past the tail of the log back to it, but not before the commands pruned from the outbox.

        The tail is our last record: what others wrote after it went to the dead letters. A snapshot covers the pruned
        commands, so the market can continue without them. An empty log leaves the cursor where it is: the log is new,
        and a rebuild has set the cursor. Raises UnknownCommand.
        """
        market = self._market
        record = await last_readable(
            self._bootstrap, commands_topic(market), lambda value: record_or_none(value, market)
        )
        if record is None:
            return
        if record.epoch != progress.epoch:
            raise LogMismatch(f"epoch of the command log of {market}", progress.epoch, record.epoch)
        await check_record_is_known(session, progress, record)
        cursor, tail = await read_cursor(session, progress.market_id), record.commands[-1].seq
        self._sent_before = max(self._sent_before, tail)
        if tail < cursor:
            known = {"market": self._market, "sequence": tail}
            log.error("%s: the command log ends at %d, the cursor is at %d", *known.values(), cursor, extra=known)
            pruned = await read_pruned(session, progress.market_id)
            await correct_cursor(session, progress.market_id, cursor, max(tail, pruned))

    async def _send_next(self, session: Connection, progress: MarketProgress) -> int:
        """Send one record; returns how many commands it held, 0 when nothing waits.

        The cursor is read each time: the engine may have set it back.
        """
        cursor = await read_cursor(session, progress.market_id)
        waiting = await read_commands(session, progress.market_id, cursor, COMMANDS_PER_RECORD_MAX)
        if not waiting:
            return 0
        if waiting[0].seq != cursor + 1:
            raise OutboxHole(self._market, cursor + 1, waiting[0].seq)
        commands = fitting(waiting)
        record = CommandRecord(self._market, progress.epoch, commands)
        sent_at = Timestamp(time.time_ns() // 1_000)
        await self._producer.send(commands_topic(self._market), encode(record), key=self._market.encode())
        passing(CrashPoint.AFTER_PUBLISH_BEFORE_CURSOR)
        COMMANDS_RELAYED.labels(self._market).inc(len(commands))
        RECORDS_RELAYED.labels(self._market).inc()
        await record_sent(session, progress.market_id, cursor, commands[-1].seq, sent_at, sent_before=self._sent_before)
        return len(commands)

    async def _wait_for_commands(self) -> bool:
        """Wait for a notification; False after a timeout, when it is time to poll."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def _on_command(self, market: str) -> None:
        if market == self._market:
            self._woken.set()

    async def _notice_lost_tail(self, session: Connection, progress: MarketProgress) -> None:
        """Check the tail of the log when sent commands are not persisted: no later command may come to show a gap."""
        persisted = (await read_market_progress(session, self._market)).command_seq
        cursor = await read_cursor(session, progress.market_id)
        if persisted == self._persisted < cursor:
            await self._correct_cursor(session, progress)
        self._persisted = persisted

    async def _tidy_if_due(self, session: Connection, progress: MarketProgress) -> None:
        if time.monotonic() < self._tidy_at_s:
            return
        await self._notice_lost_tail(session, progress)
        await forget_old(session, progress.market_id)
        pruned = await prune(session, progress.market_id, PRUNED_WHILE_RELAYING)
        self._tidy_at_s = time.monotonic() + (TIDY_EVERY_S if pruned < PRUNED_WHILE_RELAYING else 0.0)


def pause_after(sent: int) -> float:
    """Seconds to let commands gather after a record of `sent` commands; 0 after a large one: more are waiting already.

    A single command causes little delay (2 ms for the next one); under load, records hold about twenty commands.
    """
    return 0.0 if sent >= COMMANDS_PER_RECORD_MAX // 2 else min(PAUSE_MAX_S, sent * PAUSE_A_COMMAND_S)


def fitting(waiting: list[OutboxCommand]) -> list[NumberedCommand]:
    """As many commands as one record holds: 512 KiB, but always at least one."""
    commands: list[NumberedCommand] = []
    size = 0
    for seq, payload in waiting:
        size += len(payload) + 24  # the sequence and the brackets around it
        if commands and size > EVENT_RECORD_BYTES_MAX:
            break
        commands.append(NumberedCommand(seq, msgspec.Raw(payload)))
    return commands
