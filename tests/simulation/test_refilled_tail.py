"""A log that has lost its tail, and that another owner has filled again up to where it was."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from broker.producer import AckedProducer, LogTruncated
from broker.reader import NO_RECORD
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.groups import SESSION_TIMEOUT_S
from tests.simulation.virtual_loop import Process, VirtualLoop
from tests.simulation.wiring import wired
from tests.simulation.world import World

TOPIC, KEY = "engine.events.BTC-PERP", b"BTC-PERP"


Loss = Callable[[Broker], Awaitable[None]]


async def _freeze(broker: Broker) -> None:
    """The log loses all, and the connection outlasts it: the log's leader has changed, and changed back."""
    del broker.log(TOPIC)[:]
    await asyncio.sleep(SESSION_TIMEOUT_S)


async def _lose_the_broker(broker: Broker) -> None:
    """The broker ends, loses the log, and is back at once."""
    broker.lose_tail(TOPIC, "lost log tails")


async def _write_twice(broker: Broker, lose: Loss) -> None:
    """Write a record; the log loses it, another owner writes there and dies; write the next one."""
    producer = AckedProducer("")
    await producer.start()
    producer.expect_beyond(TOPIC, NO_RECORD)
    await producer.send(TOPIC, b"1", key=KEY)
    await lose(broker)
    broker.append(Process("engine-1"), TOPIC, KEY, b"2")
    await producer.send(TOPIC, b"2", key=KEY)


@pytest.mark.parametrize("lose", [_freeze, _lose_the_broker])
def test_a_former_owner_looks_whether_its_last_record_is_still_there(lose: Loss) -> None:
    """Its next record comes after that place, so the offset alone proves nothing; it may not write another.

    It was frozen; or it was evicted while it lived, or its market was placed elsewhere, and it has not noticed yet: then another
    writes at once (seeds 708395, 709043).
    """
    world = World(1, VirtualLoop())
    world.is_calm = True
    broker = Broker(world)
    with wired(world, broker, Database(world)):
        former = world.loop.create_task(_write_twice(broker, lose), context=Process("engine-2").context)
        with pytest.raises(LogTruncated):
            world.loop.run_until_complete(former)
    assert [value for _, value in broker.log(TOPIC)] == [b"2", b"2"]
    world.loop.close()
