"""What this process works for at this moment; its presence shows it to all, its metrics to Prometheus.

It is what the process believes: a frozen owner goes on believing until its session with PostgreSQL is cut, so two may be
shown for one market, and that is what an operator should see.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.worker.metrics import OWNED
from store.session.presence import Task

_tasks: set[Task] = set()


def take_on(task: Task) -> None:
    """This process works for it from now on."""
    _tasks.add(task)
    OWNED.labels(*task).set(1)


def give_up(task: Task) -> None:
    """It does no more; harmless when it never did."""
    _tasks.discard(task)
    OWNED.labels(*task).set(0)


def tasks_now() -> frozenset[Task]:
    """All that this process works for."""
    return frozenset(_tasks)


@contextmanager
def working(task: Task) -> Iterator[None]:
    """Work for it as long as the block lasts."""
    take_on(task)
    try:
        yield
    finally:
        give_up(task)
