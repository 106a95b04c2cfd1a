"""Every named crash point is hit under load, in the whole tree; and some of them by an amend, again and again."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, product
from typing import Any

import aiohttp
import pytest

from app.crash_at import crash_mark
from app.operator import audit_books
from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_trader
from exchange.engine.market import Market
from store.crash_points import CrashPoint
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import BACK_WITHIN_S, let_go, standby_engine
from tests.system.patient_load import trading
from tests.system.shared.listing import LIKE_BTC, add_market
from tests.system.verdict import (
    engine_state,
    healed,
    nothing_is_lost_or_doubled,
    one_event_a_sequence,
    settings_of,
    until_accepted,
)

HIT_WITHIN_S = 60.0
_ELSEWHERE = {
    CrashPoint.DURING_REBALANCE,
    # the load has no conditional orders: tests/api/test_activation.py
    CrashPoint.AFTER_ACTIVATION_BEFORE_COMMIT,
    CrashPoint.AFTER_ACTIVATION_COMMIT,
}
"""What needs more than load to be passed."""
AMEND_POINTS = (
    CrashPoint.AFTER_COMMIT_BEFORE_REPLY,
    CrashPoint.AFTER_PUBLISH_BEFORE_CURSOR,
    CrashPoint.AFTER_EVENTS_BEFORE_SNAPSHOT,
    CrashPoint.AFTER_SNAPSHOT_BEFORE_OFFSET,
    CrashPoint.AFTER_PROJECTION_BEFORE_OFFSET,
)
"""Where an amend that is accepted passes on the way to its verdict, the moment after that included."""
AMENDED = {
    "resting": {"side": "BUY", "type": "LIMIT", "quantity": "0.002", "price": "50000"},
    "waiting": {
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "0.002",
        "triggerPrice": "50000",
        "reduceOnly": True,
    },
}
HITS = pytest.mark.parametrize(
    "hits",
    [
        pytest.param([*zip(AMEND_POINTS, cycle(AMENDED), strict=False)], id="short"),
        *(pytest.param([*product([point], AMENDED)] * 20, marks=FULL, id=point) for point in AMEND_POINTS),
    ],
)


@pytest.mark.timeout(400)
async def test_every_crash_point_is_hit_and_nothing_is_lost(any_exchange: Start) -> None:
    """Each part dies at its crash point, its successor continues: every accepted order ends or rests, fills are there once.

    The engine dies four times in a row, the second time while it recovers from the first.
    """
    exchange = await any_exchange()
    points = [point for point in CrashPoint if point not in _ELSEWHERE]
    async with trading(exchange.url) as load:
        await until_accepted(load, 20)
        await _die_at(exchange, *points)
        await _die_in_a_rebalance(exchange)
        await until_accepted(load, 20)
    assert load.amended > 0
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)


@pytest.mark.timeout(400)
@HITS
async def test_killed_between_an_amend_and_its_verdict_nothing_is_doubled(
    any_exchange: Start, hits: Sequence[tuple[CrashPoint, str]], measured: Measured
) -> None:
    """The process dies that comes to the point with the amend of an order that rests, or waits. Each amend has one verdict, each
    order the terms last asked for, in the tables as in the book of the engine, and all sums are exact."""
    exchange, market = await any_exchange(), "AMEND-PERP"
    await add_market(exchange, market, LIKE_BTC)  # or it is there, from another test
    async with aiohttp.ClientSession(exchange.url) as session:
        trader = await make_trader(session, "10000")
        orders = {kind: AmendedOrder(session, trader, {**body, "marketId": market}) for kind, body in AMENDED.items()}
        for order in orders.values():
            await order.place()
        for number, (point, kind) in enumerate(hits):
            await asyncio.gather(_die_at(exchange, point), orders[kind].amend(number))
            await eventually(orders[kind].is_judged, BACK_WITHIN_S)
        await healed(exchange)
        for order in orders.values():
            await order.has_its_terms(await engine_state(exchange, market))
    assert await audit_books(settings_of(exchange), is_deep=True) == []
    code, printed = await exchange.command("verify", "--market", market)
    assert code == 0, printed
    await one_event_a_sequence(exchange, market)
    measured("kills between an amend and its verdict", len(hits))


@dataclass
class AmendedOrder:
    """An order of `trader`, with the terms that were asked for last; `asked` counts the amends."""

    session: aiohttp.ClientSession
    trader: Trader
    terms: dict[str, Any]
    order_id: str = ""
    asked: int = 0

    async def place(self) -> None:
        """Place it."""
        placed = await self._ask("POST", "/orders", self.terms)
        self.order_id = placed["orderId"]

    async def amend(self, number: int) -> None:
        """Ask for another quantity and another price, or trigger, until that is accepted."""
        price = "price" if "price" in self.terms else "triggerPrice"
        asked = {"quantity": f"0.00{1 + number % 7}", price: str(50_000 + number)}
        self.terms |= asked
        self.asked += 1
        await eventually(lambda: self._is_accepted(asked), BACK_WITHIN_S)

    async def is_judged(self) -> bool:
        """Whether the last amend has its verdict, as all before it."""
        with suppress(aiohttp.ClientError):
            return [amend["verdict"] for amend in await self._amends()] == ["DONE"] * self.asked
        return False

    async def has_its_terms(self, market: Market) -> None:
        """In the tables, and in the engine's book."""
        stored = await self._ask("GET", f"/orders/{self.order_id}")
        assert {name: stored[name] for name in self.terms} == self.terms
        number = int(self.order_id.rpartition("-")[2])
        resting, waiting = market.book.find(number), market.waiting.orders.get(number)
        order = resting or waiting
        assert order is not None
        price = order.price if waiting is None else waiting.trigger
        asked = self.terms.get("price") or self.terms["triggerPrice"]
        assert (order.remaining, price) == (int(self.terms["quantity"][2:]), int(asked) * 10)

    async def _is_accepted(self, asked: dict[str, Any]) -> bool:
        """Ask, unless it is accepted already: an answer may have been cut."""
        with suppress(aiohttp.ClientError):
            return len(await self._amends()) == self.asked or bool(
                await self._ask("PUT", f"/orders/{self.order_id}", asked)
            )
        return False

    async def _amends(self) -> list[dict[str, Any]]:
        return list((await self._ask("GET", f"/orders/{self.order_id}/trace"))["amends"])

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, path, json=body, headers=self.trader.headers) as answer:
            answer.raise_for_status()
            return await answer.json()


async def _die_in_a_rebalance(exchange: ExchangeProcess) -> None:
    """A standby joins, the owner has to let its markets go, and dies of it."""
    await healed(exchange)
    let_go(exchange.data, CrashPoint.DURING_REBALANCE)
    async with standby_engine(exchange):
        await eventually(crash_mark(exchange.data, CrashPoint.DURING_REBALANCE).exists, HIT_WITHIN_S)
        await healed(exchange)


async def _die_at(exchange: ExchangeProcess, *points: CrashPoint) -> None:
    """Let these points go, and wait until somebody has died at each."""
    for point in points:
        let_go(exchange.data, point)
    for point in points:
        await eventually(crash_mark(exchange.data, point).exists, HIT_WITHIN_S)
