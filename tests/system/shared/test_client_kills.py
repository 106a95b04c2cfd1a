"""The Python client trades while the API and the engine are killed: every order once, whatever became of its answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_traders, orders
from perpetua_client import AmendRequest, Client, OrderRequest, Refusal, Socket
from perpetua_client.messages import OwnFillMessage
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import BACK_WITHIN_S, strike
from tests.system.verdict import healed

CLIENTS = 4
VICTIMS = ("api", "engine")
KEPT_ORDERS = 20


@dataclass
class Program:
    """A trading program: what it was told of its orders, and every fill that its socket has shown."""

    trader: Trader
    by_rest: bool
    placed: dict[str, str] = field(default_factory=dict)
    fills: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    connections: int = 0
    gaps: int = 0
    is_over: bool = False
    has_ended: bool = False
    are_all_ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def token(self) -> str:
        """Of its user."""
        return self.trader.headers["Authorization"].removeprefix("Bearer ")

    async def run(self, url: str, seed: int) -> None:
        """Trade until it is over, then wait until nobody trades any more: others still fill what rests."""
        async with Client(url, self.token, timeout_s=5, patience_s=120) as client, client.socket() as socket:
            following = asyncio.create_task(self._follow(socket))
            await self._trade(client, socket, seed)
            self.has_ended = True
            await self.are_all_ended.wait()
            await self._caught_up(client, following)
            self.connections, self.gaps = socket.connections, socket.gaps

    async def _trade(self, client: Client, socket: Socket, seed: int) -> None:
        chance, live = random.Random(seed), list[str]()  # noqa: S311 - a repeatable load
        for number, order in enumerate(orders(seed)):
            if self.is_over:
                return
            name = f"{seed}-{number}"
            terms = {"price": Decimal(order["price"]), "quantity": Decimal(order["quantity"]), "client_order_id": name}
            request = OrderRequest(market_id=order["marketId"], side=order["side"], type="LIMIT", **terms)
            caller = client if self.by_rest else socket
            self.placed[name] = (await caller.place(request)).order_id
            live.append(self.placed[name])
            if number % 4 == 0:
                await self._try(caller.amend(live[-1], AmendRequest(quantity=Decimal("0.02"))))
            if len(live) > KEPT_ORDERS:
                await self._try(caller.cancel(live.pop(0)))
            await asyncio.sleep(0.05 * chance.random())

    async def _try(self, asking: object) -> None:
        """An order may have ended before it is amended or cancelled."""
        try:
            await asking  # type: ignore[misc]
        except Refusal as refusal:
            self.refusals.append(refusal.code)

    async def _follow(self, socket: Socket) -> None:
        async with socket.fills() as messages:
            async for message in messages:
                if isinstance(message, OwnFillMessage):
                    self.fills.append((message.data.trade_id, message.data.liquidity_role))

    async def _caught_up(self, client: Client, following: "asyncio.Task[None]") -> None:
        """Wait until the socket has shown as many fills as there are."""
        async with asyncio.timeout(120):
            while len(self.fills) < len([fill async for fill in client.fills()]):
                if following.done():
                    following.result()
                await asyncio.sleep(0.3)
        following.cancel()
        await asyncio.wait([following])


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(30, id="full", marks=FULL)])
async def test_no_order_is_doubled_or_lost(any_exchange: Start, kills: int, measured: Measured) -> None:
    """Half of the programs order over REST, half over the socket; each order is there once, each fill was shown once."""
    exchange = await any_exchange()
    programs = [Program(trader, n % 2 == 0) for n, trader in enumerate(await make_traders(exchange.url, CLIENTS))]
    chance = random.Random(21)  # noqa: S311 - a repeatable run
    async with _running(exchange, programs) as running:
        for number in range(kills):
            await asyncio.sleep(1 + 2 * chance.random())
            await strike(exchange, VICTIMS[number % len(VICTIMS)])
            _raise_what_failed(running)
        for program in programs:
            program.is_over = True
        await eventually(lambda: _have_ended(running, programs), BACK_WITHIN_S)
        await healed(exchange)
        for program in programs:
            program.are_all_ended.set()
        await asyncio.gather(*running)
    for program in programs:
        await _is_as_rest_says(exchange, program)
    measured(f"orders through {kills} kills", sum(len(program.placed) for program in programs))
    measured("connections of the sockets", sum(program.connections for program in programs))
    measured("gaps", sum(program.gaps for program in programs))
    measured("fills, each shown once", sum(len(program.fills) for program in programs))


async def _is_as_rest_says(exchange: ExchangeProcess, program: Program) -> None:
    async with Client(exchange.url, program.token) as client:
        found = [(order.client_order_id, order.order_id) async for order in client.orders()]
        fills = [(fill.trade_id, fill.liquidity_role) async for fill in client.fills()]
    assert sorted(found) == sorted(program.placed.items())
    assert sorted(program.fills) == sorted(fills)
    assert set(program.refusals) <= {"ORDER_NOT_OPEN", "INVALID_ORDER"}


@asynccontextmanager
async def _running(exchange: ExchangeProcess, programs: list[Program]) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """All of them trading; ended with the block."""
    running = [asyncio.create_task(program.run(exchange.url, seed)) for seed, program in enumerate(programs)]
    try:
        yield running
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


def _have_ended(running: list["asyncio.Task[None]"], programs: list[Program]) -> bool:
    _raise_what_failed(running)
    return all(program.has_ended for program in programs)


def _raise_what_failed(running: list["asyncio.Task[None]"]) -> None:
    for task in running:
        if task.done():
            task.result()
