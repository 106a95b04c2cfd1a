"""The demo in simulated time: its own makers, traders and stakes, on prices of its own walks."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from agents.prices.random_walk import RandomWalk
from app.demo.client import Client
from app.demo.flow import order_flow
from app.demo.ladder import Ladder
from app.demo.maker import Maker
from app.demo.markets import DEMO_MARKETS
from app.demo.stake import Stake
from app.demo.terms import Terms, terms_of
from app.demo.trader import Trader
from app.demo.trading import QUOTE_EVERY_S, STAKES_EVERY_S
from app.demo.users import DEPOSITS, TRADERS
from exchange.engine.market import Market
from schemas.orders import Side
from schemas.units import SECOND_US, Timestamp
from tests.app.demo.simulated_exchange import BEGINS_AT, SimulatedClient, SimulatedExchange
from tests.exchange.builders import USDC

MAKER, FIRST_TRADER = 1, 2
NAMES = [spec.market for spec in DEMO_MARKETS]
TRADER_IDS = range(FIRST_TRADER, FIRST_TRADER + len(TRADERS))
Look = Callable[["DemoDays"], None]


class DemoDays:
    """A demo that has run since BEGINS_AT. `run` goes on, and calls `look` after each round of quotes."""

    def __init__(self, seed: int) -> None:
        self.exchange = SimulatedExchange(DEMO_MARKETS)
        users = {MAKER: "maker", **dict(zip(TRADER_IDS, TRADERS, strict=True))}
        self.clients = {user: SimulatedClient(self.exchange, user) for user in users}
        for user, name in users.items():
            self.exchange.wallets[user] = DEPOSITS[name] * USDC
        self._walks = {
            spec.market: RandomWalk("walk", spec.market, spec.reference_price, seed) for spec in DEMO_MARKETS
        }
        self._makers = {name: Maker(self._client(MAKER), Ladder(name, seed)) for name in NAMES}
        self._traders = [Trader(self._client(user), lambda: self.exchange.now) for user in TRADER_IDS]
        self._stakes = [Stake(self._client(user), DEPOSITS[name]) for user, name in users.items()]
        self._flow = order_flow(NAMES, seed, len(TRADERS))
        self._next = next(self._flow)

    async def run(self, seconds: float, look: Look) -> None:
        """Run on for so long."""
        first = round(self._since_s() / QUOTE_EVERY_S)
        for number in range(first, first + round(seconds / QUOTE_EVERY_S)):
            await self._round(number * QUOTE_EVERY_S)
            look(self)

    async def _round(self, at_s: float) -> None:
        """Trade what comes before this time; then move the prices, quote, and from time to time look after the stakes."""
        while self._next.at_s < at_s:
            self._set_time(self._next.at_s)
            await self._traders[self._next.trader].act(self._next, self.terms(self._next.market))
            self._next = next(self._flow)
        self._set_time(at_s)
        for name in NAMES:
            for _ in range(round(QUOTE_EVERY_S)):
                index = self._walks[name].next_price()
            self.exchange.set_index(name, index)
            await self._makers[name].quote(self.terms(name))
        if at_s % STAKES_EVERY_S == 0:
            for stake in self._stakes:
                await stake.keep()

    def terms(self, market: str) -> Terms:
        """The market as it is now."""
        return next(terms_of(view) for view in self.exchange.views() if view["id"] == market)

    def levels(self, market: str, user: int, side: Side) -> int:
        """At how many prices the user quotes."""
        return len({order.price for order in self.clients[user].live(market) if order.side is side})

    def value(self, market: str, user: int) -> Decimal:
        """The signed value of a position."""
        return self.terms(market).notional_of(self.market(market).position_of(user))

    def market(self, name: str) -> Market:
        """The engine of a market."""
        return self.exchange.markets[name]

    def _client(self, user: int) -> Client:
        return cast("Client", cast("Any", self.clients[user]))

    def _since_s(self) -> float:
        return (self.exchange.now - BEGINS_AT) / SECOND_US

    def _set_time(self, at_s: float) -> None:
        self.exchange.now = Timestamp(BEGINS_AT + round(at_s * SECOND_US))
