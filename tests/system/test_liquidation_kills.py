"""kill -9 during liquidations, in the whole tree: every step once, no account below zero, receipts that add up."""

import asyncio
import random
from collections import Counter
from typing import Any

import aiohttp
import asyncpg
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_trader
from schemas.units import Timestamp
from store.session.connect import Connection
from tests.crash_day.proofs import find_unresolved, read_grids, read_steps
from tests.crash_day.receipts import check_receipts
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import strike
from tests.system.verdict import audit_books, healed, one_event_a_sequence, settings_of
from tests.venue import set_fund

LONGS = 12
VICTIMS = ("liquidator", "engine", "projection", "relay", "postgres")
PRICES = ("57150", "56950", "56300", "55000")
_UNDER_WAY = "SELECT count(*) FROM liquidations WHERE kind = 'LIQUIDATION' AND ended_at IS NULL"
_HELD = "SELECT count(*) FROM positions WHERE user_id = ANY($1::int8[]) AND lots <> 0"
_LIVE = "SELECT count(*) FROM orders WHERE user_id = ANY($1::int8[]) AND is_live"
_DOUBLED = """
SELECT market_id, command_seq FROM liquidation_steps WHERE command_seq IS NOT NULL AND action <> 'CANCEL_ORDERS'
GROUP BY 1, 2 HAVING count(*) > 1
"""


@pytest.mark.parametrize("rounds", [pytest.param(len(VICTIMS), marks=FULL, id="full")])
async def test_a_ladder_whose_parts_are_killed_ends_as_if_nothing_had_been(
    start_exchange: Start, rounds: int, measured: Measured
) -> None:
    """Twelve longs at 20x go down with the price while a part is killed at every price; one part a round."""
    exchange = await start_exchange()
    dice = random.Random(5)  # noqa: S311 - the same instants on every run
    async with aiohttp.ClientSession(exchange.url) as client:
        rich = [await make_trader(client, "9000000") for _ in range(2)]
        for number in range(rounds):
            longs = await _long_at_60_000(client, exchange, rich)
            for price in PRICES:
                await _quote(client, rich[1], price)
                fall = asyncio.create_task(_set_index(exchange, price))
                await asyncio.sleep(dice.uniform(0.3, 2.5))
                await strike(exchange, VICTIMS[number % len(VICTIMS)])
                await fall
            await _at_rest(exchange, longs)
    measured("kills in a ladder", rounds * len(PRICES))
    await _verify(exchange, measured)


async def _long_at_60_000(client: aiohttp.ClientSession, exchange: ExchangeProcess, rich: list[Trader]) -> list[int]:
    """New accounts with 3,100 and a position of 1 BTC each; some with an order that must go. The fund has 1,000."""
    await _set_index(exchange, "60000")
    session = await _session(exchange)
    await set_fund(session, 1_000 * 10**6, Timestamp(1_800_000_000_000_000))
    await session.close()
    longs = [await make_trader(client, "3100") for _ in range(LONGS)]
    await _order(client, rich[0], "SELL", str(LONGS), "60000")
    for long in longs:
        await _order(client, long, "BUY", "1", "60000", leverage=20)
    await healed(exchange)
    for long in longs[::2]:
        await _order(client, long, "SELL", "0.5", "64000", reduceOnly=True)
    return [int(long.user_id) for long in longs]


async def _quote(client: aiohttp.ClientSession, maker: Trader, price: str) -> None:
    """A thin bid below the price that comes."""
    await _order(client, maker, "BUY", "0.7", str(int(price) - 60))


async def _at_rest(exchange: ExchangeProcess, users: list[int]) -> None:
    """Wait until all accounts are done with, once the killed parts are back."""
    await healed(exchange)
    session = await _session(exchange)

    async def is_over() -> bool:
        return not (await session.fetchval(_UNDER_WAY) or await session.fetchval(_HELD, users))

    try:
        await eventually(is_over, within_s=240, every_s=0.2)
        assert await session.fetchval(_LIVE, users) == 0
        assert await session.fetchval("SELECT min(wallet) FROM accounts WHERE user_id = ANY($1)", users) >= 0
    finally:
        await session.close()


async def _verify(exchange: ExchangeProcess, measured: Measured) -> None:
    await healed(exchange)
    session = await _session(exchange)
    try:
        steps = await read_steps(session)
        check_receipts([step for step in steps if step.outcome is not None], await read_grids(session))
        assert await session.fetch(_DOUBLED) == []
        assert await find_unresolved(session) == []
    finally:
        await session.close()
    assert await audit_books(settings_of(exchange), is_deep=True) == []
    for action, count in sorted(Counter(step.action for step in steps).items()):
        measured(f"steps {action}", count)
    measured("events, each written with one content only", await one_event_a_sequence(exchange))


async def _set_index(exchange: ExchangeProcess, price: str) -> None:
    """Move the index, with a retry if needed: a part may be down."""

    async def has_moved() -> bool:
        code, _ = await exchange.command("market", "set-index", "BTC-PERP", price)
        return code == 0

    await eventually(has_moved, within_s=120, every_s=0.5)


async def _order(
    client: aiohttp.ClientSession, trader: Trader, side: str, quantity: str, price: str, **more: Any
) -> None:
    """Place an order until it is accepted, with a retry if needed: a part may be down."""
    body = {"marketId": "BTC-PERP", "side": side, "type": "LIMIT", "quantity": quantity, "price": price, **more}

    async def is_accepted() -> bool:
        async with client.post("/orders", json=body, headers=trader.headers) as answer:
            assert answer.status in (202, 503), await answer.text()
            return answer.status == 202

    await eventually(is_accepted, every_s=0.2)


async def _session(exchange: ExchangeProcess) -> Connection:
    return await asyncpg.connect(settings_of(exchange).database_url)
