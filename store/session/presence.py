"""Who runs, and who works for which market: shared advisory locks of one session a process, gone when the process is gone.

A process names itself in its session's `application_name`; each lock says one thing it works for. Nothing is written,
so nothing has to be tidied away after a kill.
"""

from enum import StrEnum
from typing import NamedTuple

from store.session.advisory_locks import LockClass
from store.session.connect import Session

NAME_CHARACTERS_MAX = 63
"""PostgreSQL cuts a longer `application_name`."""
_HOST_CHARACTERS_MAX = 20


class Work(StrEnum):
    """What a process can do for a market, or alone for all of them."""

    ENGINE = "engine"
    PROJECTION = "projection"
    PUBLISHER = "publisher"
    RELAY = "relay"
    CLOCK = "clock"
    LIQUIDATOR = "liquidator"


class Task(NamedTuple):
    """Work for one market; an empty name is all markets at once."""

    work: Work
    market: str = ""


class ProcessName(NamedTuple):
    """A process as operators name it: what it was started as, its machine, its process id, where its metrics are read."""

    kind: str
    host: str
    pid: int
    metrics: str = ""

    @property
    def place(self) -> str:
        """Where to find it: `host:pid`."""
        return f"{self.host}:{self.pid}"

    def encode(self) -> str:
        """As the name of a session."""
        return f"{self.kind} {self.host[:_HOST_CHARACTERS_MAX]}:{self.pid} {self.metrics}".rstrip()[
            :NAME_CHARACTERS_MAX
        ]


class RunningProcess(NamedTuple):
    """A process that runs, and its tasks in order."""

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
    """Show that the process of this session runs, whatever it does."""
    await session.fetchval("SELECT pg_advisory_lock_shared($1::int4, 0)", int(LockClass.PROCESSES))


async def show_task(session: Session, task: Task) -> None:
    """Show that the process of this session works for a market, from now on."""
    await session.fetchval(_SHOW, _LOCK_CLASSES[task.work], task.market)


async def hide_task(session: Session, task: Task) -> None:
    """It works for it no more."""
    await session.fetchval(_HIDE, _LOCK_CLASSES[task.work], task.market)


async def read_processes(session: Session) -> list[RunningProcess]:
    """Every process that shows itself, by its name; whatever role each has, all may see."""
    tasks: dict[tuple[str, int], list[Task]] = {}
    for row in await session.fetch(_READ, [int(LockClass.PROCESSES), *_WORK]):
        known = tasks.setdefault((row["name"], row["pid"]), [])
        if row["lock_class"] in _WORK:
            known.append(Task(_WORK[row["lock_class"]], row["market"]))
    return [RunningProcess(_decode(name), tuple(known)) for (name, _), known in tasks.items()]


async def read_workers(session: Session) -> list[ProcessName]:
    """Every process that works at the logs, by its name."""
    return [_decode(row["name"]) for row in await session.fetch(_READ, [int(LockClass.WORKERS)])]


def _decode(name: str) -> ProcessName:
    kind, place, metrics = (*name.split(" "), "", "", "")[:3]
    host, _, pid = place.rpartition(":")
    return ProcessName(kind, host, int(pid) if pid.isdecimal() else 0, metrics)
