"""The cyclic collector as the matching agent has it at work (agents/worker/gc_tuning.py): frozen, and seldom called."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from agents.worker.gc_tuning import tune_gc


@contextmanager
def quiet_collector() -> Iterator[None]:
    """What lives now is not looked at; afterwards all is as it was."""
    before = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
