"""The relay: commands from the outbox into the command logs of all its markets, over one session."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Collection
from functools import partial

from aiokafka.errors import KafkaError, KafkaTimeoutError

from agents.relayed_market import OutboxHole, RelayedMarket, Round, Stage, pause_after
from agents.worker.fail_stop import fail_fast
from agents.worker.halting import MarketHalted, UnknownCommand, check_not_halted, check_record_is_known
from agents.worker.service import Service, is_unavailable
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch
from broker.command_records import record_or_none
from broker.errors import LogMismatch
from broker.producer import AckedProducer, LogTruncated
from broker.reader import last_readable
from schemas.wire import COMMANDS_PER_RECORD_MAX, CommandRecord
from store.command_log.outbox import (
    SentRecord,
    WaitingCommands,
    correct_cursor,
    prune,
    read_cursor,
    read_pruned,
    read_shares,
    read_states,
    record_sent,
)
from store.command_log.relay_session import prepare_relay_session
from store.command_log.snapshots import forget_old
from store.crash_points import CrashPoint, passing
from store.markets.halts import halt
from store.markets.progress import read_market_progress, read_progress_of
from store.markets.rests import end_rests, note_rests
from store.session.advisory_locks import TRY_EVERY_S, LockClass, release_locks, try_locks
from store.session.checked_clock import machine_time
from store.session.connect import Connection
from store.session.presence import Work

POLL_ANNOUNCED_S = 0.25
POLL_UNANNOUNCED_S = 0.02
TIDY_EVERY_S = 10.0
PRUNED_WHILE_RELAYING = 2_000  # some milliseconds: commands wait meanwhile
LEFT_WITHIN_S = 1.0
READ_AT_ONCE = 4_000

log = logging.getLogger(__name__)


class Relay(Service):
    """The only writer of its markets' command logs; another relay stands by for the markets whose locks it does not get.

    `watch`: a market rests while its topic is at fault. A market that cannot go on waits alone.
    """

    def __init__(
        self, markets: str | Collection[str], settings: StreamSettings, watch: TopicWatch | None = None
    ) -> None:
        super().__init__("relay", settings.dsn)
        self._settings = settings
        self._watch = watch
        self._producer = AckedProducer(settings.bootstrap)
        self._first = {markets} if isinstance(markets, str) else set(markets)
        self._guards: dict[str, asyncio.Task[None]] = {}
        self._wanted: set[str] = set()
        self._sound: set[str] = set()
        self._stirred = asyncio.Event()
        self._begin()

    def _begin(self) -> None:
        """What belongs to one session."""
        self._markets: dict[str, RelayedMarket] = {}
        self._leaving: dict[str, float] = {}
        self._ended: list[tuple[RelayedMarket, asyncio.Task[None]]] = []
        self._untidy: deque[RelayedMarket] = deque()
        self._turn = asyncio.Lock()
        self._round = Round()
        self._poll_s = POLL_ANNOUNCED_S
        self._poll_at_s = self._locks_at_s = self._tidy_at_s = 0.0

    def set_markets(self, markets: Collection[str]) -> None:
        """Relay the commands of these markets from now on, and leave the others to other relays."""
        for market in sorted(self._wanted - set(markets)):
            self._wanted.discard(market)
            self._sound.discard(market)
            if self._watch is not None:
                self._guards.pop(market).cancel()
                self._watch.remove(market)
        for market in sorted(set(markets) - self._wanted):
            self._wanted.add(market)
            if self._watch is None:
                self._sound.add(market)
            else:
                guard = fail_fast(self._guard(market, self._watch), f"relay-{market}")
                self._guards[market] = asyncio.create_task(guard)
        self._look_at_locks()

    async def start(self) -> None:
        """Start to serve."""
        self.set_markets(self._first | self._wanted)
        await super().start()

    async def stop(self) -> None:
        """Stop; the next relay may send a record in flight again."""
        for guard in self._guards.values():
            guard.cancel()
        await super().stop()
        await self._producer.stop()

    async def serve(self, session: Connection) -> None:
        """Relay commands.

        1. Become the only relay of each wanted market that has none.
        2. Move its cursor back to the last command in its log, which must be one of this database's.
        3. Send what waits in all markets together, one record of each, and advance their cursors together. A rewind is
           never overwritten. A market pauses longer after a larger record, and markets that send at the same time pause
           together, the longer the more they are: commands that arrive meanwhile share the next record, which costs every
           later stage as much as a single command.
        4. When nothing is left, wait for a notification; if notifications are lost, poll every 20 ms.
        """
        self._begin()
        await self._producer.start()
        await prepare_relay_session(session, self._on_command)
        try:
            while True:
                self._stirred.clear()
                await self._follow_markets(session)  # 1, 2
                await self._settle(session)
                await self._send_waiting(session)  # 3
                await self._tidy(session)
                await self._pause()  # 4
        finally:
            under_way = [task for market in self._markets.values() if (task := market.leave()) is not None]
            if under_way:
                await asyncio.wait(under_way)

    async def _guard(self, market: str, watch: TopicWatch) -> None:
        """Let a market rest while its topic is at fault."""
        await watch.add(market)
        while True:
            await watch.until_sound(market)
            log.info("relay-%s is up", market, extra={"market": market})
            self._sound.add(market)
            self._look_at_locks()
            await watch.until_faulty(market)
            log.error("relay-%s rests: a topic is at fault", market, extra={"market": market})
            self._sound.discard(market)
            self._stirred.set()

    def _look_at_locks(self) -> None:
        self._locks_at_s = 0.0
        self._stirred.set()

    async def _follow_markets(self, session: Connection) -> None:
        """Leave the markets that are no longer wanted or not sound, try to own others, and look again at those that wait."""
        now_s = _now_s()
        for name in self._leaving.keys() & self._sound:
            del self._leaving[name]
        left = [each for each in self._markets.values() if each.name not in self._sound and self._may_leave(each)]
        if left:
            await self._leave(session, left)
        for market in self._markets.values():
            if market.stage is Stage.WAITING and market.due_s <= now_s:
                self._check(session, market, is_taken_on=True)
        if now_s >= self._locks_at_s:
            self._locks_at_s = math.inf
            for name in sorted(self._sound - self._markets.keys()):
                self._markets[name] = RelayedMarket(name)
            await self._take_on(session, [each for each in self._markets.values() if each.stage is Stage.STANDBY])

    def _may_leave(self, market: RelayedMarket) -> bool:
        """Whether nothing of it is under way, or has been for too long."""
        until_s = self._leaving.setdefault(market.name, _now_s() + LEFT_WITHIN_S)
        return market.stage is not Stage.SENDING or _now_s() >= until_s

    async def _leave(self, session: Connection, markets: list[RelayedMarket]) -> None:
        for market in markets:
            if market.leave() is not None:
                self._producer.give_up(market.topic)
            self._markets.pop(market.name)
            self._leaving.pop(market.name, None)
        owned = [market.market_id for market in markets if market.is_owned]
        async with self._turn:
            await release_locks(session, LockClass.RELAY, owned)

    async def _take_on(self, session: Connection, standby: list[RelayedMarket]) -> None:
        if not standby:
            return
        again_at_s = self._locks_at_s = _now_s() + TRY_EVERY_S
        async with self._turn:
            unknown = [market.name for market in standby if market.progress is None]
            listed = await read_progress_of(session, unknown) if unknown else {}
            for market in standby:
                market.progress = market.progress or listed.get(market.name)
            by_id = {market.market_id: market for market in standby if market.progress is not None}
            taken = await try_locks(session, LockClass.RELAY, list(by_id))
        if len(taken) == len(standby) and self._locks_at_s == again_at_s:
            self._locks_at_s = math.inf
        for market_id in sorted(taken):
            self._check(session, by_id[market_id], is_taken_on=True)

    def _check(self, session: Connection, market: RelayedMarket, *, is_taken_on: bool) -> None:
        market.stage = Stage.CHECKING
        self._run(market, asyncio.create_task(self._check_log(session, market, is_taken_on=is_taken_on)))

    def _run(self, market: RelayedMarket, task: asyncio.Task[None]) -> None:
        market.task = task
        task.add_done_callback(partial(self._has_ended, market))

    def _has_ended(self, market: RelayedMarket, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._ended.append((market, task))
            self._stirred.set()

    async def _check_log(self, session: Connection, market: RelayedMarket, *, is_taken_on: bool) -> None:
        """Compare the cursor with the tail of the log. Raises MarketHalted and UnknownCommand."""
        if is_taken_on:
            async with self._turn:
                progress = market.progress = await read_market_progress(session, market.name)
            check_not_halted(market.name, progress)
            market.sent_before = progress.command_seq
        try:
            record = await last_readable(
                self._settings.bootstrap, market.topic, lambda value: record_or_none(value, market.name)
            )
        except TimeoutError as error:
            raise KafkaTimeoutError from error
        if record is not None:
            async with self._turn:
                await self._correct_cursor(session, market, record)
        if is_taken_on:
            log.info("relaying the commands of %s", market.name, extra={"market": market.name})

    async def _correct_cursor(self, session: Connection, market: RelayedMarket, record: CommandRecord) -> None:
        """Move a cursor past the tail of the log back to it, but not before the commands pruned from the outbox.

        The tail is our last record: what others wrote after it went to the dead letters. A snapshot covers the pruned
        commands, so the market can continue without them. An empty log leaves the cursor where it is: the log is new,
        and a rebuild has set the cursor. Raises UnknownCommand.
        """
        if record.epoch != market.epoch:
            raise LogMismatch(f"epoch of the command log of {market.name}", market.epoch, record.epoch)
        await check_record_is_known(session, market.known, record)
        cursor, tail = await read_cursor(session, market.market_id), record.commands[-1].seq
        market.sent_before = max(market.sent_before, tail)
        if tail < cursor:
            known = {"market": market.name, "sequence": tail}
            log.error("%s: the command log ends at %d, the cursor is at %d", *known.values(), cursor, extra=known)
            pruned = await read_pruned(session, market.market_id)
            await correct_cursor(session, market.market_id, cursor, max(tail, pruned))

    async def _settle(self, session: Connection) -> None:
        """Record what the broker has acknowledged, all in one statement, and act on what failed."""
        ended, self._ended = self._ended, []
        sent: dict[RelayedMarket, SentRecord] = {}
        for market, task in ended:
            if market.task is not task:
                continue  # it was left meanwhile
            market.task = None
            error = task.exception()
            if error is not None:
                await self._failed(session, market, error)
            elif market.stage is Stage.SENDING:
                sent[market] = market.acknowledged()
            else:
                await self._go_on(session, market)
        if not sent:
            return
        passing(CrashPoint.AFTER_PUBLISH_BEFORE_CURSOR)
        async with self._turn:
            moved = await record_sent(session, list(sent.values()))
        now_s = _now_s()
        for market, record in sent.items():
            market.is_woken |= market.market_id not in moved  # its cursor was set back
            market.is_woken |= market.has_more
            market.ready(now_s + (0.0 if market.has_more else pause_after(record.to_seq - record.from_seq)))

    async def _go_on(self, session: Connection, market: RelayedMarket) -> None:
        if market.reason:
            market.reason = ""
            async with self._turn:
                await end_rests(session, Work.RELAY, [market.name])
        market.is_woken = True
        market.ready(_now_s())

    async def _failed(self, session: Connection, market: RelayedMarket, error: BaseException) -> None:
        """Let one market wait for what others need not wait for; any error that is not its own is raised."""
        extra = {"market": market.name}
        match error:
            case MarketHalted():
                log.critical("relay-%s is quarantined: %s", market.name, error, extra=extra)
                market.quarantine()
            case UnknownCommand():
                log.critical("relay-%s halts its market: %s (docs/adr/0004)", market.name, error, extra=extra)
                async with self._turn:
                    await halt(session, market.name, str(error))
                market.quarantine()
            case LogTruncated():
                log.error("relay-%s looks at its log again: %s", market.name, error, extra=extra)
                self._producer.forget(market.topic)
                market.wait(_now_s())
            case KafkaError() if is_unavailable(error):
                log.warning("relay-%s waits: %r", market.name, error, extra=extra)
                market.wait(_now_s())
            case LogMismatch() | OutboxHole() | KafkaError():
                if market.reason != str(error):
                    log.critical("relay-%s waits: %s", market.name, error, extra=extra)
                market.reason = str(error)
                market.wait(_now_s())
                async with self._turn:
                    await note_rests(session, Work.RELAY, {market.name: market.reason})
            case _:
                raise error

    async def _send_waiting(self, session: Connection) -> None:
        """Send one record of each market in which something waits, if it does not pause."""
        now_s = _now_s()
        is_poll = now_s >= self._poll_at_s
        due = [
            market
            for market in self._markets.values()
            if market.stage is Stage.READY
            and self._round.due_s(market) <= now_s
            and (market.is_woken or is_poll)
            and market.name in self._sound
        ]
        if is_poll:
            self._poll_at_s = now_s + self._poll_s
        if not due:
            return
        announced = {market.market_id for market in due if market.is_woken}
        for market in due:
            market.is_woken = False
        async with self._turn:
            found, has_more = await read_shares(
                session, [market.market_id for market in due], READ_AT_ONCE, COMMANDS_PER_RECORD_MAX
            )
        for market in due:
            market.has_more = market.market_id in has_more
        if not found:
            return
        self._poll_s = POLL_ANNOUNCED_S if announced & found.keys() else POLL_UNANNOUNCED_S
        self._poll_at_s = min(self._poll_at_s, now_s + self._poll_s)
        sending = [market for market in due if market.market_id in found]
        self._round.add([market for market in sending if not market.has_more], now_s)
        for market in sending:
            await self._send(session, market, found[market.market_id])

    async def _send(self, session: Connection, market: RelayedMarket, waiting: WaitingCommands) -> None:
        try:
            value = market.next_record(waiting, machine_time())
        except OutboxHole as error:
            await self._failed(session, market, error)
            return
        market.stage = Stage.SENDING
        self._run(market, asyncio.create_task(self._producer.send(market.topic, value, key=market.key)))

    def _on_command(self, name: str) -> None:
        market = self._markets.get(name)
        if market is not None:
            market.is_woken = True
            if market.stage is Stage.READY and self._round.due_s(market) <= _now_s():
                self._stirred.set()

    async def _tidy(self, session: Connection) -> None:
        """Tidy one market at a time: commands of the others wait no longer than that takes."""
        if self._untidy:
            market = self._untidy.popleft()
            if self._markets.get(market.name) is market:
                async with self._turn:
                    await self._tidy_market(session, market)
        elif _now_s() >= self._tidy_at_s:
            self._tidy_at_s = _now_s() + TIDY_EVERY_S
            await self._look_around(session)

    async def _look_around(self, session: Connection) -> None:
        """See in which markets something is to be tidied, and whether commands that were sent do not arrive."""
        working = [each for each in self._markets.values() if each.stage in {Stage.READY, Stage.SENDING}]
        reasons = {market.name: market.reason for market in self._markets.values() if market.reason}
        async with self._turn:
            if reasons:
                await note_rests(session, Work.RELAY, reasons)
            states = await read_states(session, [each.market_id for each in working]) if working else {}
        for market in working:
            state, before = states[market.market_id], market.tidied
            market.tidied = state
            if state.prunable > 0 or state.covered_seq != (before.covered_seq if before is not None else 0):
                self._untidy.append(market)
            is_stuck = before is not None and before.persisted_seq == state.persisted_seq < state.cursor
            if is_stuck and market.stage is Stage.READY:  # no later command may come to show a gap
                self._check(session, market, is_taken_on=False)

    async def _tidy_market(self, session: Connection, market: RelayedMarket) -> None:
        await forget_old(session, market.market_id)
        if await prune(session, market.market_id, PRUNED_WHILE_RELAYING) == PRUNED_WHILE_RELAYING:
            self._untidy.append(market)

    async def _pause(self) -> None:
        """Wait until something is to be done: a notification, an answer of the broker, the end of a pause."""
        if self._untidy:
            await asyncio.sleep(0)
            return
        now_s = _now_s()
        dues = [
            at_s
            for each in self._markets.values()
            if each.stage in _TIMED and (at_s := self._round.due_s(each)) > now_s
        ]
        until_s = min(self._poll_at_s, self._locks_at_s, self._tidy_at_s, *dues, *self._leaving.values())
        try:
            async with asyncio.timeout_at(until_s):
                await self._stirred.wait()
        except TimeoutError:
            return


_TIMED = {Stage.READY, Stage.WAITING}


def _now_s() -> float:
    return asyncio.get_running_loop().time()
