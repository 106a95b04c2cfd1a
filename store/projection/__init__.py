"""The projection: events of a market become rows that people query, many events in one transaction."""

from store.projection.errors import ChainBroken, EventGap, ProjectionBroken, ProjectionStopped
from store.projection.projector import Projection

__all__ = ["ChainBroken", "EventGap", "Projection", "ProjectionBroken", "ProjectionStopped"]
