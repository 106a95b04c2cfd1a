"""Take-over at once: a process shows the group members it holds, and removes those of processes that are gone from their groups.

Kafka notices a dead member by its session time-out. PostgreSQL knows at once, because the session of the process ends with
it. So each process that joins a group or stands by looks four times a second which members of the group have lost their process, and
removes them: the group decides again at once. An owner looks for nobody. A member removed by mistake joins again: that
costs a rebalance, never a record. A frozen process keeps its session, and its members until their time-out.
"""

import asyncio
import logging
import math

import asyncpg
from aiokafka.errors import KafkaError

from agents.worker.membership.departures import Departures
from agents.worker.membership.seats import Seat, Seats, Standing, seats
from agents.worker.metrics import EVICTIONS
from store.session.connect import Connection
from store.session.group_members import (
    GroupMember,
    claim_member,
    hide_member,
    hold_number,
    keep_members,
    read_others,
    show_member,
)

LOOK_EVERY_S = 0.25
TRY_AGAIN_S = 1.0
REFUSED_AGAIN_S = 30.0

log = logging.getLogger(__name__)


class TakeOver:
    """The seats of one process over all its sessions with PostgreSQL."""

    def __init__(self, held: Seats = seats) -> None:
        self._held = held
        self._number = 0
        self._sessions = 0
        self._departures = Departures(is_first=True)
        self._is_known = True
        self._shown: frozenset[GroupMember] = frozenset()
        self._removals: set[asyncio.Task[None]] = set()
        self._not_before_s = 0.0

    async def begin(self, session: Connection) -> None:
        """Take a number for this session; the first thing to do with each."""
        self._number = await hold_number(session)
        self._sessions += 1
        self._departures = Departures(is_first=self._sessions == 1)
        self._is_known = False

    @property
    def is_shown(self) -> bool:
        """Whether PostgreSQL has what is to be shown."""
        return self._is_known and self._shown == self._held.shown.keys()

    async def step(self, session: Connection) -> float:
        """Show what has changed, and look for members whose process is gone; returns in how many seconds to call again.

        What cannot be done is left to the session time-outs of Kafka. It must not end the session, which shows that the process
        lives: an error of a statement is logged, and it is tried again later.
        """
        clock = asyncio.get_running_loop()
        if clock.time() < self._not_before_s:
            return self._not_before_s - clock.time()
        try:
            await self._show(session)
            return await self._look(session) if self._held.waiting else math.inf
        except asyncpg.PostgresError as error:
            if session.is_closed():
                raise
            log.error("members whose process is gone keep their shards until their session time-outs: %r", error)
            self._not_before_s = clock.time() + REFUSED_AGAIN_S
            return REFUSED_AGAIN_S

    def stop(self) -> None:
        """Remove nobody any more."""
        for each in self._removals:
            each.cancel()

    async def _show(self, session: Connection) -> None:
        held = self._held.shown
        if not self._is_known:
            kept = await keep_members(session, self._number, self._shown)
            for member in (self._shown - kept) & held.keys():
                log.warning("%s was removed from its group %s by mistake, and joins again", member.member, member.group)
                held.pop(member).join_again()
            self._shown, self._is_known = kept, True
        for member in held.keys() - self._shown:
            await show_member(session, self._number, member)
            self._shown |= {member}
        for member in self._shown - held.keys():
            await hide_member(session, member)
            self._shown -= {member}

    async def _look(self, session: Connection) -> float:
        waiting, clock = self._held.waiting, asyncio.get_running_loop()
        others = await read_others(session, self._number, waiting)
        for group in self._departures.see(others, clock.time()) & waiting.keys():
            waiting[group].join_again_as_standby()
        for member in self._departures.due(clock.time()):
            seat = waiting[member.group]
            if seat.standing is not Standing.STARTING and await claim_member(session, member):
                self._remove(seat, member)
        return min(LOOK_EVERY_S, self._departures.next_due_s(clock.time()) or LOOK_EVERY_S)

    def _remove(self, seat: Seat, gone: GroupMember) -> None:
        removal = asyncio.create_task(self._until_removed(seat, gone))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def _until_removed(self, seat: Seat, gone: GroupMember) -> None:
        """Nobody else removes it: the process that deletes its row must."""
        while seat.standing is not Standing.LEAVING and not await self._removed(seat, gone):  # noqa: ASYNC110 - the broker is another process
            await asyncio.sleep(TRY_AGAIN_S)
        seat.join_again_as_standby()

    async def _removed(self, seat: Seat, gone: GroupMember) -> bool:
        try:
            was_in = await seat.member.remove(gone.member)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("%s is not removed from its group %s yet: %r", gone.member, gone.group, error)
            return False
        if was_in:
            log.warning("%s is removed from its group %s: its process is gone", gone.member, gone.group)
            EVICTIONS.labels(gone.group).inc()
        return True
