"""A log that has lost its tail, and that another owner has filled again up to where it was."""

import asyncio

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


async def _write_twice(broker: Broker, frozen_for_s: float) -> None:
    """Write a record, freeze; the log loses it, another owner writes there and dies; write the next one."""
    producer = AckedProducer("")
    await producer.start()
    producer.expect_beyond(TOPIC, NO_RECORD)
    await producer.send(TOPIC, b"1", key=KEY)
    del broker.log(TOPIC)[:]
    broker.append(Process("engine-1"), TOPIC, KEY, b"2")
    await asyncio.sleep(frozen_for_s)
    await producer.send(TOPIC, b"2", key=KEY)


def test_a_thawed_owner_looks_whether_its_last_record_is_still_there() -> None:
    """Its next record comes after that place, so the offset alone proves nothing; it may not write another."""
    world = World(1, VirtualLoop())
    world.is_calm = True
    broker = Broker(world)
    with wired(world, broker, Database(world)):
        work = _write_twice(broker, SESSION_TIMEOUT_S)
        thawed = world.loop.create_task(work, context=Process("engine-2").context)
        with pytest.raises(LogTruncated):
            world.loop.run_until_complete(thawed)
    assert [value for _, value in broker.log(TOPIC)] == [b"2", b"2"]
    world.loop.close()
