"""Bar 12 at full size: junk in the log and commands that break the engine, by the hundred, under a market that continues."""

import random
from collections import Counter
from pathlib import Path

import pytest

from agents.dead_letter_retry import retry_dead_letter
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.verify import verify
from broker.dead_letters import DeadLetter, read_dead_letters
from broker.producer import AckedProducer
from exchange.engine.log import journal
from schemas.orders import OrderType, Side
from schemas.rest.operating.dead_letters import Retried
from schemas.rest.orders import OrderRequest
from schemas.topics import commands_topic
from store.submission import SubmitOrder
from tests.agents.poison import POISON, broken_apply
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.conftest import Broker

ROUNDS, FULL_ROUNDS = 3, 150
ORDERS, JUNK, POISONED = 30, 6, 2
"""One round: good orders, records that are not ours, orders that break the engine."""


def junk(stream: Stream, dice: random.Random) -> bytes | None:
    """A value that nobody can read, of one of many kinds; a known sequence with other bytes would be none, but a repetition."""
    market = stream.market.encode()
    return dice.choice(
        (
            None,
            b"",
            b"{broken",
            dice.randbytes(dice.randint(1, 400)),
            b"[" * 10_000,
            b'{"market":"%s","epoch":1,"commands":[],"v":2}' % market,
            b'{"market":"NOT-OURS","epoch":1,"commands":[],"v":1}',
        )
    )


async def play(stream: Stream, rounds: int) -> None:
    """Good orders with junk and poison between them, all at once."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for number in range(rounds):
        await stream.trade(ORDERS)
        for _ in range(JUNK):
            await producer.send(commands_topic(stream.market), junk(stream, stream.random), key=b"")
        ids = [f"{POISON}-{number}-{at}" for at in range(POISONED)]
        asked = [
            OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.001", "59000", client_order_id=each)
            for each in ids
        ]
        await stream.submit([SubmitOrder(stream.random.choice(stream.users), request) for request in asked])
    await producer.stop()


async def check(stream: Stream, rounds: int) -> str:
    """Every order is answered, every piece of poison is a dead letter once, and retrying it twice changes nothing."""
    progress = await stream.drained(within_s=600.0)
    assert progress.command_seq == 1 + rounds * (ORDERS + POISONED)
    assert await stream.unfinished() == 0
    found = [
        dead_letter
        for dead_letter in await read_dead_letters(stream.settings.bootstrap)
        if dead_letter.market == stream.market
    ]
    assert Counter(dead_letter.is_command for dead_letter in found) == {True: rounds * POISONED, False: rounds * JUNK}
    rejected = await stream.session.fetchval(
        "SELECT count(*) FROM orders JOIN markets USING (market_id) WHERE name = $1 AND reason = 'INTERNAL'",
        stream.market,
    )
    assert rejected == rounds * POISONED
    outcomes = [await retried(stream, found) for _ in range(2)]
    assert outcomes[0] == outcomes[1] == {Retried.ANSWERED: rounds * POISONED, Retried.UNREADABLE: rounds * JUNK}
    assert await stream.progress() == progress
    one_hash_each(await stream.records())
    assert (await verify(stream.settings, stream.market)).differences == []
    return f"{progress.command_seq:,} commands, {rounds * JUNK:,} junk records and {rejected:,} poisoned orders: {outcomes[0]}"


async def retried(stream: Stream, letters: list[DeadLetter]) -> Counter[Retried]:
    """The result of retrying every dead letter."""
    return Counter([(await retry_dead_letter(stream.session, dead_letter)).result for dead_letter in letters])


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(ROUNDS, id="short"),
        pytest.param(FULL_ROUNDS, id="full", marks=[pytest.mark.chaos, pytest.mark.timeout(3600)]),
    ],
)
async def test_a_market_under_poison_continues(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """Nothing good is lost with the bad: verify, without the bug, finds no difference."""
    monkeypatch.setattr(journal, "apply", broken_apply)
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit, projection_unit))):
            await play(stream, rounds)
            await stream.drained(within_s=600.0)
        monkeypatch.undo()
        print(await check(stream, rounds))  # noqa: T201 - what was measured
