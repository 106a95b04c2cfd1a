"""An exchange in memory with a time of its own, for days of the demo in seconds: the real engine, and the answers that the demo reads.

Margin is not checked: what the demo holds must be far from needing it, and the test of the days says how far.
"""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from exchange.engine.engine import apply
from exchange.engine.market import Market, empty_market
from schemas.commands import CancelOrder, CancelOrders, Command, PlaceOrder, SetIndex
from schemas.events import FundingPaid, TradeExecuted
from schemas.market import MarketSpec
from schemas.orders import OrderType, Side, TimeInForce
from schemas.units import Nanos, Timestamp, parse_whole_units, timestamp_of
from store.queries.formatting import index_text, price_text, quantity_text
from tests.exchange.builders import USDC, listed, order

BEGINS_AT = Timestamp(1_800_000_000_000_000)


class SimulatedExchange:
    """All markets, and the money of all users."""

    def __init__(self, specs: tuple[MarketSpec, ...]) -> None:
        self.now = BEGINS_AT
        self.markets: dict[str, Market] = {spec.market: empty_market(spec.market) for spec in specs}
        self.wallets: Counter[int] = Counter()
        self.transfers: Counter[int] = Counter()
        self.trades: list[TradeExecuted] = []
        for spec in specs:
            self.send(spec.market, listed(spec))

    def send(self, market: str, command: Command) -> None:
        """Apply a command, and book what its events pay."""
        engine = self.markets[market]
        for event in apply(engine, engine.command_seq + 1, command):
            match event:
                case TradeExecuted():
                    self.trades.append(event)
                    for side in (event.maker, event.taker):
                        self.wallets[side.user] += side.realized - side.fee
                case FundingPaid():
                    for payment in event.payments:
                        self.wallets[payment.user] += payment.amount
                case _:
                    pass

    def set_index(self, market: str, index: Nanos) -> None:
        """Move the price and the time of a market."""
        self.send(market, SetIndex(self.now, index))

    def views(self) -> list[dict[str, Any]]:
        """What the demo reads of `GET /markets`."""
        return [
            {
                "id": name,
                "tickSize": price_text(market.spec, 1),
                "lotSize": quantity_text(market.spec, 1),
                "referencePrice": index_text(market.spec.reference_price),
                "markPrice": price_text(market.spec, market.mark),
                "status": market.status,
            }
            for name, market in self.markets.items()
        ]


class SimulatedClient:
    """What the client of a demo user does, in this exchange."""

    def __init__(self, exchange: SimulatedExchange, user: int) -> None:
        self._exchange = exchange
        self._user = user
        for market in exchange.markets.values():
            market.watch(user)

    async def get(self, path: str) -> Any:
        """Live orders of a market, positions or balances."""
        query = parse_qs(urlsplit(path).query)
        match urlsplit(path).path:
            case "/orders":
                return {"data": [self._order(query["marketId"][0], one) for one in self.live(query["marketId"][0])]}
            case "/positions":
                return [self._position(name) for name, market in self._exchange.markets.items() if self._lots(market)]
            case "/balances":
                money = str(Decimal(self._exchange.wallets[self._user]) / USDC)
                return [{"asset": "USDC", "total": money, "available": money}]
        raise AssertionError(path)

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Place orders, or move money."""
        match path:
            case "/orders":
                self._place(body)
            case "/orders/batch":
                assert len(body["orders"]) <= 20
                for one in body["orders"]:
                    self._place(one)
            case "/deposits" | "/withdrawals":
                sign = 1 if path == "/deposits" else -1
                self._exchange.wallets[self._user] += sign * int(Decimal(body["amount"]) * USDC)
                self._exchange.transfers[self._user] += 1
            case _:
                raise AssertionError(path)

    async def delete(self, path: str) -> None:
        """Cancel an order, or all of a market."""
        query = parse_qs(urlsplit(path).query)
        if query:
            [market] = query["marketId"]
            orders = tuple(one.order_seq for one in self.live(market))
            self._exchange.send(market, CancelOrders(self._exchange.now, self._user, orders))
        else:
            market, _, number = path.removeprefix("/orders/").rpartition("-")
            self._exchange.send(market, CancelOrder(self._exchange.now, self._user, int(number)))

    def live(self, market: str) -> list[Any]:
        """The user's orders in the book."""
        return self._exchange.markets[market].orders_of(self._user)

    def _place(self, body: dict[str, Any]) -> None:
        exchange, market = self._exchange, self._exchange.markets[body["marketId"]]
        side, order_type = Side[body["side"]], OrderType(body["type"])
        is_market = order_type is OrderType.MARKET
        bound = market.mark * (1_000_000 + side.sign * market.spec.take_bound) // 1_000_000
        price = bound if is_market else _whole(body["price"], market.spec.tick_size_e18)
        command: PlaceOrder = order(
            self._user,
            side,
            _whole(body["quantity"], market.spec.lot_size_e18),
            price,
            at=exchange.now,
            order_type=order_type,
            post_only=body.get("postOnly", False),
            time_in_force=TimeInForce.IOC if is_market else TimeInForce(body.get("timeInForce", "GTC")),
            expires_at=_time(body["expiresAt"]) if "expiresAt" in body else None,
            loss_per_lot=0,
        )
        assert abs(price - market.mark) * 1_000_000 <= market.mark * market.spec.price_band
        exchange.send(body["marketId"], command)

    def _order(self, market: str, one: Any) -> dict[str, Any]:
        spec = self._exchange.markets[market].spec
        return {
            "orderId": f"{market}-{one.order_seq}",
            "side": one.side.name,
            "price": price_text(spec, one.price),
            "remainingQuantity": quantity_text(spec, one.remaining),
            "cancelRequestedAt": None,
        }

    def _position(self, name: str) -> dict[str, Any]:
        market = self._exchange.markets[name]
        lots = self._lots(market)
        side = "LONG" if lots > 0 else "SHORT"
        return {"marketId": name, "side": side, "quantity": quantity_text(market.spec, abs(lots))}

    def _lots(self, market: Market) -> int:
        return market.position_of(self._user)


def _whole(text: str, unit_e18: int) -> int:
    number = parse_whole_units(text, unit_e18)
    assert number, f"{text} is not on the grid"
    return number


def _time(text: str) -> Timestamp:
    return timestamp_of(datetime.fromisoformat(text))
