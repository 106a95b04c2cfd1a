"""What the watch takes for a violation, on logs that are written by hand."""

import pytest

from schemas.topics import events_topic
from schemas.wire import EventRecord, encode
from store.projection.chain import Progress
from tests.simulation.system import System
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.watch import Watch
from tests.simulation.world import World

MARKET = "BTC-PERP"


def _record(event_seq: int) -> tuple[bytes, bytes]:
    record = EventRecord(MARKET, 1, event_seq, event_seq, event_seq, event_seq, "", "", 1, [])
    return MARKET.encode(), encode(record)


@pytest.mark.parametrize(("offset", "is_a_violation"), [(2, False), (3, False), (4, True), (5, True)])
def test_an_event_that_comes_again_may_be_acknowledged_before_it_is_persisted(
    offset: int, is_a_violation: bool
) -> None:
    """Event 1 is persisted, and a zombie has written event 2 again: a reader may begin right before that (seed 711769)."""
    world = World(1, VirtualLoop())
    system = System(world)
    watch = Watch(world, system)
    system.broker.log(events_topic(MARKET)).extend(_record(seq) for seq in (1, 2, 1, 2, 3))
    system.database.tables.named(MARKET).progress = Progress(1, 1, "")
    watch._committed(events_topic(MARKET), offset)
    assert bool(world.violations) is is_a_violation
    world.loop.close()
