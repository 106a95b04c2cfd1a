"""The yardstick of the matching agent: the same commands through the same engine in a loop of aiokafka and nothing else.

`python -m bench.yardsticks.bare_loop BOOTSTRAP MARKET TOPIC COMMANDS`: reads the command log, decodes, applies, and produces one
event record for each command record to TOPIC, idempotent, acks=all, awaited. No group, no table, no snapshot, no
recovery. Ends after the given number of commands.
"""

import sys

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.quiet_collector import quiet_collector
from exchange.engine.log.journal import EncodedEvent, answer_command
from exchange.engine.market import Market, empty_market
from schemas.topics import commands_topic
from schemas.wire import EventRecord, decode_command, decode_command_record, encode


async def run(bootstrap: str, market_name: str, topic: str, count: int) -> None:
    """Consume, decode, apply, produce."""
    partition = TopicPartition(commands_topic(market_name), 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_request_size=2 * 2**20
    )
    await consumer.start()
    await producer.start()
    consumer.assign([partition])
    market = empty_market(market_name)
    with quiet_collector():
        while market.command_seq < count:
            message = await consumer.getone(partition)
            await producer.send_and_wait(topic, _matched(market, message.value), partition=0)
    await producer.stop()
    await consumer.stop()


def _matched(market: Market, value: bytes) -> bytes:
    before = market.event_hash
    written: list[EncodedEvent] = []
    for command in decode_command_record(value).commands:
        written += answer_command(market, command.seq, decode_command(command.body))
    return encode(
        EventRecord(
            market=market.spec.market,
            epoch=1,
            first_command_seq=written[0].command,
            last_command_seq=written[-1].command,
            first_event_seq=written[0].seq,
            last_event_seq=written[-1].seq,
            prev_hash=before,
            hash=written[-1].hash,
            rules=written[-1].rules,
            events=[msgspec.Raw(event.body) for event in written],
        )
    )


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
