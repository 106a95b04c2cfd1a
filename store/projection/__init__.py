"""The projection: turns events of a market into rows for queries, many events per transaction."""

from store.projection.errors import ChainBroken, EventGap, ProjectionBroken, ProjectionStopped
from store.projection.projector import Projection

__all__ = ["ChainBroken", "EventGap", "Projection", "ProjectionBroken", "ProjectionStopped"]
