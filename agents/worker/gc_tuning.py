"""The cyclic collector, spared: what lives long here is no garbage, and what does not ends by its count of references."""

import gc

OBJECTS_BEFORE_COLLECTION = 100_000


def tune_gc() -> None:
    """Let what is there now never be looked at again, and what comes only after so many objects more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 20, 100)
