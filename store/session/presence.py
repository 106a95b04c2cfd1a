"""The running processes and the markets they work for: shared advisory locks of one session per process, gone with it.

A process names itself in its session's `application_name`; each lock says one thing it works for. Nothing is written,
so there is nothing to clean up after a kill.
"""

from enum import StrEnum
from typing import NamedTuple

from store.session.advisory_locks import LockClass
from store.session.connect import Session

NAME_CHARACTERS_MAX = 63
"""PostgreSQL truncates a longer `application_name`."""
_HOST_CHARACTERS_MAX = 20


class Work(StrEnum):
    """The kinds of work that a process does, for one market or for all."""

    ENGINE = "engine"
    PROJECTION = "projection"
    PUBLISHER = "publisher"
    RELAY = "relay"
    CLOCK = "clock"
    LIQUIDATOR = "liquidator"
    ACTIVATOR = "activator"


class Task(NamedTuple):
    """Work for one market; an empty name means all markets."""

    work: Work
    market: str = ""


class ProcessName(NamedTuple):
    """A process as operators see it: its kind, machine, process id, and the address of its metrics."""

    kind: str
    host: str
    pid: int
    metrics: str = ""

    @property
    def place(self) -> str:
        """Its location: `host:pid`."""
        return f"{self.host}:{self.pid}"

    def encode(self) -> str:
        """The session's `application_name`."""
        return f"{self.kind} {self.host[:_HOST_CHARACTERS_MAX]}:{self.pid} {self.metrics}".rstrip()[
            :NAME_CHARACTERS_MAX
        ]


class RunningProcess(NamedTuple):
    """A running process, and its tasks in order."""

    name: ProcessName
    tasks: tuple[Task, ...]


_LOCK_CLASSES = {work: LockClass.TASKS + at for at, work in enumerate(Work)}
_WORK = {lock_class: work for work, lock_class in _LOCK_CLASSES.items()}
_SHOW = """
SELECT pg_advisory_lock_shared($1::int4, number) FROM (
  SELECT 0 AS number WHERE $2 = '' UNION ALL SELECT x.market_id FROM markets x WHERE x.name = $2) AS place
"""
_HIDE = """
SELECT pg_advisory_unlock_shared($1::int4, number) FROM (
  SELECT 0 AS number WHERE $2 = '' UNION ALL SELECT x.market_id FROM markets x WHERE x.name = $2) AS place
"""
_READ = """
SELECT a.application_name AS name, a.pid, l.classid::int8 AS lock_class, coalesce(m.name, '') AS market
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
LEFT JOIN markets m ON m.market_id = l.objid::int8
WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock' AND l.classid::int8 = ANY($1::int8[])
ORDER BY a.application_name, a.pid, l.classid, m.name
"""


async def show_process(session: Session) -> None:
    """Register the process of this session as running."""
    await session.fetchval("SELECT pg_advisory_lock_shared($1::int4, 0)", int(LockClass.PROCESSES))


async def show_task(session: Session, task: Task) -> None:
    """Register that the process of this session works on a task."""
    await session.fetchval(_SHOW, _LOCK_CLASSES[task.work], task.market)


async def hide_task(session: Session, task: Task) -> None:
    """Remove the registration of a task."""
    await session.fetchval(_HIDE, _LOCK_CLASSES[task.work], task.market)


async def read_processes(session: Session) -> list[RunningProcess]:
    """Every registered process, by name; visible to every database role."""
    tasks: dict[tuple[str, int], list[Task]] = {}
    for row in await session.fetch(_READ, [int(LockClass.PROCESSES), *_WORK]):
        known = tasks.setdefault((row["name"], row["pid"]), [])
        if row["lock_class"] in _WORK:
            known.append(Task(_WORK[row["lock_class"]], row["market"]))
    return [RunningProcess(_decode(name), tuple(known)) for (name, _), known in tasks.items()]


async def read_workers(session: Session) -> list[ProcessName]:
    """Every process that works on the logs, by name."""
    return [_decode(row["name"]) for row in await session.fetch(_READ, [int(LockClass.WORKERS)])]


def _decode(name: str) -> ProcessName:
    kind, place, metrics = (*name.split(" "), "", "", "")[:3]
    host, _, pid = place.rpartition(":")
    return ProcessName(kind, host, int(pid) if pid.isdecimal() else 0, metrics)
