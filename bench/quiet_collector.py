"""The cyclic collector as the matching agent has it at work (agents/recovery.py): frozen, and seldom called."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from agents.recovery import OBJECTS_BEFORE_COLLECTION


@contextmanager
def quiet_collector() -> Iterator[None]:
    """What lives now is not looked at; afterwards all is as it was."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
