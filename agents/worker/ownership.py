"""The tasks that this process works for now; its presence shows them to operators, its metrics to Prometheus.

This is what the process believes: a frozen owner believes it until its session with PostgreSQL ends. So two owners may
be shown for one market, and an operator should see that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.worker.metrics import OWNED
from store.session.presence import Task

_tasks: set[Task] = set()


def take_on(task: Task) -> None:
    """Record that this process works for the task from now on."""
    _tasks.add(task)
    OWNED.labels(*task).set(1)


def give_up(task: Task) -> None:
    """Record that it no longer does; harmless when it never did."""
    _tasks.discard(task)
    OWNED.labels(*task).set(0)


def tasks_now() -> frozenset[Task]:
    """All tasks that this process works for."""
    return frozenset(_tasks)


@contextmanager
def working(task: Task) -> Iterator[None]:
    """Work for the task as long as the block lasts."""
    take_on(task)
    try:
        yield
    finally:
        give_up(task)
