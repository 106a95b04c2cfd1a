"""P6: trade events into PostgreSQL in batches of 500, compared with one transaction for each event, over the same tables.

One market's log is written once: makers rest, then takers each hit ten of them, so that ten events of eleven are trades.
It is then persisted from one end to the other, in turn a stretch in batches and a stretch event by event, by the same
code and the same statement: what differs is how many events share a transaction.
"""

import time
from collections.abc import Sequence
from functools import partial

import msgspec

from bench.load.flow import BEGAN_AT
from bench.load.users import make_users
from bench.result import Bar, Outcome, compared
from bench.sizes import Size
from exchange.engine.log.journal import EncodedEvent, answer_command
from exchange.engine.market import empty_market
from schemas.market import SEED_MARKETS
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.wire import GENESIS_HASH, EventRecord, decode_command
from store.command_log.outbox import read_commands
from store.markets.registry import list_market, load_registry
from store.projection import Projection
from store.session.connect import Connection, connect_writer
from store.submission import BATCH_MAX, Placed, Submission, SubmitOrder

BATCH = 500
SINGLES_A_ROUND = 100
MAKERS_A_TAKER = 10
TRADERS = 64
BAR = Bar(15)
MARKET = "TRADES-PERP"


async def measure(dsn: str, size: Size) -> Outcome:
    """Rounds of both in turn."""
    session = await connect_writer(dsn, "bench")
    try:
        written, first_timed = await _written(session, dsn, size)
    finally:
        await session.close()
    projection = Projection(partial(connect_writer, dsn, "bench projection"), MARKET)
    await _persist(projection, _records(written, 0, first_timed, BATCH))
    rounds, at = size.projection_rounds, first_timed
    in_batches = (len(written) - first_timed) // rounds - SINGLES_A_ROUND
    rates: dict[int, list[float]] = {BATCH: [], 1: []}
    for _ in range(rounds):
        for count, together in ((in_batches, BATCH), (SINGLES_A_ROUND, 1)):
            records = _records(written, at, count, together)
            began = time.perf_counter()
            await _persist(projection, records)
            rates[together].append(count / (time.perf_counter() - began))
            at += count
    await projection.close()
    baseline = ("a transaction an event", rates[1])
    return Outcome([compared("P6", "projection of trade events, 500 at once", "events/s", rates[BATCH], baseline, BAR)])


async def _written(session: Connection, dsn: str, size: Size) -> tuple[list[EncodedEvent], int]:
    """The log of the market, and how many events of it belong to the makers."""
    await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=MARKET), BEGAN_AT)
    users = [
        funded.user for funded in await make_users(dsn, "no token is used here, so any secret does", TRADERS, "trades")
    ]
    registry = await load_registry(session)
    submission = Submission(partial(connect_writer, dsn, "bench submission"), registry)
    trades = size.projection_trades + size.projection_rounds * SINGLES_A_ROUND
    makers = [_order(users[1 + i % (TRADERS - 2)], Side.SELL, "0.001") for i in range(trades)]
    takers = [
        _order(users[0 if i % 2 else -1], Side.BUY, f"{MAKERS_A_TAKER / 1_000:.3f}")
        for i in range(trades // MAKERS_A_TAKER)
    ]
    await _submit(submission, [*makers, *takers])
    await submission.close()
    market, written = empty_market(MARKET), []
    for seq, payload in await read_commands(session, registry.by_name[MARKET].market_id, 0, 10_000_000):
        written += answer_command(market, seq, decode_command(payload))
    return written, next(i for i, event in enumerate(written) if event.command > len(makers) + 1)


def _order(user: int, side: Side, quantity: str) -> SubmitOrder:
    return SubmitOrder(user, OrderRequest(MARKET, side, OrderType.LIMIT, quantity, "60000"))


async def _submit(submission: Submission, orders: Sequence[SubmitOrder]) -> None:
    for start in range(0, len(orders), BATCH_MAX):
        answers = await submission.run(orders[start : start + BATCH_MAX], BEGAN_AT, {})
        assert all(isinstance(answer, Placed) for answer in answers), answers


def _records(written: Sequence[EncodedEvent], first: int, count: int, together: int) -> list[EventRecord]:
    """A stretch of the log as records of a given number of events."""
    stretch = range(first, min(first + count, len(written)), together)
    return [_record(written, start, min(start + together, first + count, len(written))) for start in stretch]


async def _persist(projection: Projection, records: Sequence[EventRecord]) -> None:
    for record in records:
        await projection.apply([record])


def _record(written: Sequence[EncodedEvent], start: int, stop: int) -> EventRecord:
    part = written[start:stop]
    return EventRecord(
        market=MARKET,
        epoch=1,
        first_command_seq=part[0].command,
        last_command_seq=part[-1].command,
        first_event_seq=part[0].seq,
        last_event_seq=part[-1].seq,
        prev_hash=written[start - 1].hash if start else GENESIS_HASH,
        hash=part[-1].hash,
        rules=part[-1].rules,
        events=[msgspec.Raw(event.body) for event in part],
    )
