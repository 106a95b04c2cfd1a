"""The projection: turns events into rows for queries, many events of many markets per transaction."""

from store.projection.errors import ChainBroken, EventGap, ProjectionBroken, ProjectionStopped, RowsLocked
from store.projection.projector import MarketBatch, Outcome, Projection, Projections

__all__ = [
    "ChainBroken",
    "EventGap",
    "MarketBatch",
    "Outcome",
    "Projection",
    "ProjectionBroken",
    "ProjectionStopped",
    "Projections",
    "RowsLocked",
]
