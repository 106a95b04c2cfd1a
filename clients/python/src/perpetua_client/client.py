"""The client: every call of an account in one place."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from perpetua_client.credentials import Bearer, Credentials
from perpetua_client.live.socket import Socket
from perpetua_client.models import (
    Balance,
    Candle,
    Fill,
    Funding,
    FundingPayment,
    LedgerEntry,
    Leverage,
    Market,
    Order,
    OrderBook,
    Position,
    Ticker,
    Time,
    Trade,
)
from perpetua_client.orders import Orders
from perpetua_client.reading import Reading
from perpetua_client.repeating import Repeating
from perpetua_client.settings import Settings
from perpetua_client.transport import Transport


class Client(Orders, Settings):
    """One account at one exchange, or nobody in particular (`key=None`). Use it with `async with`.

    `key` is the secret of an API key, the token of a login, or Credentials. `timeout_s` is how long one try may take, `patience_s` how
    long a call is repeated while the exchange cannot be reached.
    """

    def __init__(
        self, url: str, key: str | Credentials | None = None, *, timeout_s: float = 10.0, patience_s: float = 60.0
    ) -> None:
        self._transport = Transport(url, Bearer(key) if isinstance(key, str) else key, timeout_s)
        self._reading = Reading(self._transport, patience_s)
        self._repeating = Repeating(self._transport, patience_s)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.__aexit__()

    def socket(self, *, cancel_on_disconnect: bool = False) -> Socket:
        """A connection to the socket, for `async with`; it is opened again whenever it ends."""
        return Socket(self._transport, self, cancel_on_disconnect=cancel_on_disconnect)

    async def time(self) -> datetime:
        """The time of the exchange."""
        return (await self._reading.read(Time, "/time")).time

    async def markets(self) -> list[Market]:
        """Every market."""
        return [each async for each in self._reading.pages(Market, "/markets")]

    async def market(self, market_id: str) -> Market:
        """One market."""
        return await self._reading.read(Market, f"/markets/{quote(market_id)}")

    async def order_book(self, market_id: str, depth: int = 50) -> OrderBook:
        """The best levels of a market."""
        return await self._reading.read(OrderBook, f"/markets/{quote(market_id)}/orderbook", depth=depth)

    async def ticker(self, market_id: str) -> Ticker:
        """A market at a glance."""
        return await self._reading.read(Ticker, f"/markets/{quote(market_id)}/ticker")

    def trades(self, market_id: str, **query: Any) -> AsyncIterator[Trade]:
        """The trades of a market, newest first."""
        return self._reading.pages(Trade, f"/markets/{quote(market_id)}/trades", **query)

    def candles(self, market_id: str, interval: str = "1m", **query: Any) -> AsyncIterator[Candle]:
        """The candles of a market, newest first."""
        return self._reading.pages(Candle, f"/markets/{quote(market_id)}/candles", interval=interval, **query)

    def funding(self, market_id: str, **query: Any) -> AsyncIterator[Funding]:
        """The fundings of a market, newest first."""
        return self._reading.pages(Funding, f"/markets/{quote(market_id)}/funding", **query)

    async def balances(self, *, after: str | None = None) -> list[Balance]:
        """The money of the account."""
        return await self._reading.read(list[Balance], "/balances", after=after)

    async def positions(self, *, after: str | None = None) -> list[Position]:
        """The open positions."""
        return await self._reading.read(list[Position], "/positions", after=after)

    async def order(self, order_id: str, *, after: str | None = None) -> Order:
        """One order; `after` a command id, no older than that command."""
        return await self._reading.read(Order, f"/orders/{quote(order_id)}", after=after)

    def orders(self, *, after: str | None = None, **query: Any) -> AsyncIterator[Order]:
        """Orders, newest first; `status`, `market_id`, `from_`, `to` and `order` choose among them."""
        return self._reading.pages(Order, "/orders", after=after, **query)

    def fills(self, *, after: str | None = None, **query: Any) -> AsyncIterator[Fill]:
        """Fills, newest first; `order_id`, `market_id`, `from_`, `to` and `order` choose among them."""
        return self._reading.pages(Fill, "/fills", after=after, **query)

    def ledger(self, **query: Any) -> AsyncIterator[LedgerEntry]:
        """The ledger of the account, newest first."""
        return self._reading.pages(LedgerEntry, "/ledger", **query)

    def funding_payments(self, **query: Any) -> AsyncIterator[FundingPayment]:
        """What positions paid and got as funding, newest first."""
        return self._reading.pages(FundingPayment, "/funding-payments", **query)

    async def leverage(self, market_id: str) -> Leverage:
        """The account's leverage in a market."""
        return await self._reading.read(Leverage, f"/positions/{quote(market_id)}/leverage")
