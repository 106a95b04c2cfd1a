"""The garbage collector tuned as in the matching agent (agents/worker/gc_tuning.py): frozen, and rarely run."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from agents.worker.gc_tuning import tune_gc


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Exclude all current objects from collection within the block; then restore the settings."""
    before = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
