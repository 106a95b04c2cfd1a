"""The back-office stream: each side of each fill once, in the same bytes as from PostgreSQL, adding up to the ledger."""

import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.fills.app import publisher_unit
from agents.fills.worker import Publisher
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from broker.reader import read_all
from schemas.executions import Execution, decode_execution, encode_execution, execution_headers
from schemas.orders import LiquidityRole, OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.topics import executions_topic
from store.queries.market_data.executions import read_executions
from store.submission import SubmitOrder
from tests.agents.stream import Stream, hosted, stream_on
from tests.agents.test_projector import Delivered
from tests.agents.test_publisher import parts
from tests.conftest import Broker
from tests.eventually import eventually

PARTS = (Relay, engine_unit, projection_unit)
_LEDGER = """
SELECT l.account, sum(l.amount) FILTER (WHERE l.type = 'TRADING_FEE') AS fees,
  sum(l.amount) FILTER (WHERE l.type = 'REALIZED_PNL') AS realized
FROM ledger l JOIN markets m USING (market_id) WHERE m.name = $1 AND l.account > 0 AND l.trade_id IS NOT NULL GROUP BY l.account
"""
FULL = [pytest.mark.chaos, pytest.mark.timeout(3_600)]


async def stored(stream: Stream) -> list[Execution]:
    """Every execution of the market, as PostgreSQL has them."""
    return await read_executions(stream.session, stream.market, 1, 100_000)


async def published(stream: Stream) -> list[Any]:
    """Every record of the market's back-office stream."""
    return await read_all(stream.settings.bootstrap, executions_topic(stream.market))


def kept_once(records: list[Any]) -> list[Execution]:
    """What a consumer keeps that drops what it had; fails at a hole, and where a record comes again with other bytes."""
    kept: dict[int, bytes] = {}
    for record in records:
        sequence = decode_execution(record.value).sequence
        assert sequence <= len(kept) + 1, f"{len(kept) + 1} is missing before {sequence}"
        assert kept.setdefault(sequence, record.value) == record.value
    return [decode_execution(value) for value in kept.values()]


async def everything_is_published(stream: Stream) -> list[Execution]:
    """Wait until the stream ends with the last execution; each is in it once, in order, as it is stored."""
    await stream.drained()
    expected = [encode_execution(execution) for execution in await stored(stream)]

    async def found() -> list[Execution] | None:
        kept = kept_once(await published(stream))
        return kept if len(kept) >= len(expected) else None

    kept = await eventually(found)
    assert kept is not None
    assert [encode_execution(execution) for execution in kept] == expected
    return kept


async def adds_up(stream: Stream, executions: list[Execution]) -> None:
    """Fees and realized profit are the ledger's, to the micro; each position is the sum of what led to it."""
    fees: dict[str, Decimal] = defaultdict(Decimal)
    realized: dict[str, Decimal] = defaultdict(Decimal)
    position: dict[str, Decimal] = defaultdict(Decimal)
    for each in executions:
        fees[each.user_id] += Decimal(each.fee)
        realized[each.user_id] += Decimal(each.realized_pnl)
        position[each.user_id] += Decimal(each.quantity) * each.side.sign
        assert position[each.user_id] == Decimal(each.position_after)
    rows = await stream.session.fetch(_LEDGER, stream.market)
    assert {str(row["account"]): row["fees"] for row in rows if row["fees"]} == {
        user: -fee * 10**6 for user, fee in fees.items() if fee
    }
    assert {str(row["account"]): row["realized"] for row in rows if row["realized"]} == {
        user: profit * 10**6 for user, profit in realized.items() if profit
    }


async def test_each_side_of_each_fill_is_one_record(broker: Broker, database: str, tmp_path: Path) -> None:
    """Key, headers, roles, accounts and client order ids of a trade, the maker's side first."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*parts(stream, *PARTS, publisher_unit)):
            maker, taker = stream.users[:2]
            market, limit = stream.market, OrderType.LIMIT
            resting = OrderRequest(market, Side.SELL, limit, "0.002", "60000", client_order_id="at dawn")
            await stream.submit([SubmitOrder(maker, resting)])
            await stream.submit([SubmitOrder(taker, OrderRequest(market, Side.BUY, limit, "0.002", "60000"))])
            first, second = await everything_is_published(stream)
        assert (first.sequence, first.user_id, first.client_order_id) == (1, str(maker), "at dawn")
        assert (second.sequence, second.user_id, second.client_order_id) == (2, str(taker), None)
        assert (first.liquidity_role, second.liquidity_role) == (LiquidityRole.MAKER, LiquidityRole.TAKER)
        assert (first.position_after, second.position_after) == ("-0.002", "0.002")
        assert first.trade_id == second.trade_id == f"{market}-1"
        for record, execution in zip(await published(stream), (first, second), strict=True):
            assert record.key == market.encode()
            assert list(record.headers) == execution_headers(execution)


async def test_executions_add_up_to_the_ledger(broker: Broker, database: str, tmp_path: Path) -> None:
    """Per account, over some hundred random orders with makers from before the publisher started."""
    async with stream_on(broker, database, tmp_path) as stream, hosted(*parts(stream, *PARTS)):
        await stream.trade(200)
        await stream.drained()
        async with hosted(*parts(stream, publisher_unit)):
            await stream.trade(300)
            executions = await everything_is_published(stream)
        assert len(executions) > 50
        await adds_up(stream, executions)


async def test_an_order_from_before_the_publisher_keeps_its_client_id(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Its acceptance is not in what the publisher reads of the log: PostgreSQL knows what its client called it."""
    async with stream_on(broker, database, tmp_path) as stream, hosted(*parts(stream, *PARTS)):
        maker, taker = stream.users[:2]
        resting = OrderRequest(stream.market, Side.SELL, OrderType.LIMIT, "0.002", "60000", client_order_id="old")
        await stream.submit([SubmitOrder(maker, resting)])
        await stream.drained()
        await stream.submit(
            [SubmitOrder(taker, OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.001", "60000"))]
        )
        await stream.drained()
        publisher = Publisher(stream.market, stream.settings)
        await publisher.begin()
        await stream.submit(
            [SubmitOrder(taker, OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.001", "60000"))]
        )
        await stream.drained()
        await publisher.take(Delivered((await stream.records())[-1]))
        kept = kept_once(await published(stream))
        assert [each.client_order_id for each in kept] == ["old", None, "old", None]
        assert [encode_execution(each) for each in kept] == [encode_execution(each) for each in await stored(stream)]
        await publisher.disconnect()


async def test_fills_of_an_older_release_have_their_positions_added_up(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Without the column the same bytes come of the quantities, from any sequence, also across the upgrade."""
    async with stream_on(broker, database, tmp_path) as stream, hosted(*parts(stream, *PARTS)):
        await stream.trade(200)
        await stream.drained()
        expected = await stored(stream)
        half = len(expected) // 4
        await stream.session.execute("UPDATE fills SET position_after = NULL WHERE trade_id <= $1", half)
        for first in (1, 2, half, 2 * half - 3, 2 * half):
            assert await read_executions(stream.session, stream.market, first, 100) == expected[first - 1 : first + 99]


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=FULL)])
async def test_each_execution_comes_once_across_kills_of_publisher_and_engine(
    broker: Broker, database: str, tmp_path: Path, rounds: int
) -> None:
    """kill -9 of both in each round, in any order, while orders flow: nothing is missing, nothing is said in two ways."""
    chance = random.Random(rounds)  # noqa: S311 - the same kills on every run
    async with (
        stream_on(broker, database, tmp_path) as stream,
        hosted(*parts(stream, Relay, projection_unit)),
    ):
        workers = {kind: stream.spawn(kind) for kind in ("engine", "publisher")}
        for _ in range(rounds):
            before = len(await published(stream))
            await stream.trade(100)
            await eventually(lambda before=before: _has_more_than(stream, before))
            for kind in chance.sample(("engine", "publisher"), k=2):
                await stream.trade(chance.randint(1, 60))
                workers[kind].kill()
                workers[kind].wait()
                workers[kind] = stream.spawn(kind)
        await stream.trade(50)
        await adds_up(stream, await everything_is_published(stream))


async def _has_more_than(stream: Stream, count: int) -> bool:
    return len(await published(stream)) > count
