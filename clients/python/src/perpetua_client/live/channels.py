"""The channels of the socket, each for `async with … as messages: async for message in messages`."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from perpetua_client.live.book import Book
from perpetua_client.live.subscription import BookSubscription, Counted, Key, Private, Subscription
from perpetua_client.messages import (
    BalanceChangedMessage,
    BestPricesMessage,
    CandleMessage,
    CurrentMessage,
    MarkMessage,
    OrderChangedMessage,
    OwnFillMessage,
    PositionChangedMessage,
    StatusMessage,
    TickerMessage,
    TradeMessage,
)

T = TypeVar("T")


class LiveChannels:
    """What can be subscribed to."""

    def book(self, market: str, depth: int = 50) -> AbstractAsyncContextManager[Subscription[Book]]:
        """The book of a market, whole and checked, after each change."""
        return self._open(BookSubscription(Key("book", market, depth)))

    def trades(self, market: str, from_: int | None = None) -> AbstractAsyncContextManager[Subscription[TradeMessage]]:
        """Each trade of a market once; from sequence `from_` on."""
        return self._open(Counted[TradeMessage](Key("trades", market), from_))

    def best_prices(self, market: str) -> AbstractAsyncContextManager[Subscription[BestPricesMessage]]:
        """The best bid and ask."""
        return self._open(Subscription[BestPricesMessage](Key("bbo", market)))

    def mark(self, market: str) -> AbstractAsyncContextManager[Subscription[MarkMessage]]:
        """Mark, index and funding rates."""
        return self._open(Subscription[MarkMessage](Key("mark", market)))

    def ticker(self, market: str) -> AbstractAsyncContextManager[Subscription[TickerMessage]]:
        """A market at a glance."""
        return self._open(Subscription[TickerMessage](Key("ticker", market)))

    def status(self, market: str) -> AbstractAsyncContextManager[Subscription[StatusMessage]]:
        """The status of a market."""
        return self._open(Subscription[StatusMessage](Key("status", market)))

    def candles(self, market: str, interval: str = "1m") -> AbstractAsyncContextManager[Subscription[CandleMessage]]:
        """The candles of a market."""
        return self._open(Subscription[CandleMessage](Key("candles", market, None, interval)))

    def orders(
        self, from_: str | None = None
    ) -> AbstractAsyncContextManager[Subscription[OrderChangedMessage | CurrentMessage]]:
        """Open orders, then each change of an order; `CurrentMessage` is between the two."""
        return self._open(Private[OrderChangedMessage | CurrentMessage](Key("orders"), from_))

    def fills(
        self, from_: str | None = None
    ) -> AbstractAsyncContextManager[Subscription[OwnFillMessage | CurrentMessage]]:
        """Each fill of the account once; after the cursor `from_`."""
        return self._open(Private[OwnFillMessage | CurrentMessage](Key("fills"), from_))

    def positions(
        self, from_: str | None = None
    ) -> AbstractAsyncContextManager[Subscription[PositionChangedMessage | CurrentMessage]]:
        """Open positions, then the latest of each that changes."""
        return self._open(Private[PositionChangedMessage | CurrentMessage](Key("positions"), from_))

    def balances(
        self, from_: str | None = None
    ) -> AbstractAsyncContextManager[Subscription[BalanceChangedMessage | CurrentMessage]]:
        """The balance, then its latest value."""
        return self._open(Private[BalanceChangedMessage | CurrentMessage](Key("balances"), from_))

    @asynccontextmanager
    async def _open(self, subscription: Subscription[T]) -> AsyncIterator[Subscription[T]]:
        await self._subscribed(subscription)
        try:
            yield subscription
        finally:
            await self._unsubscribed(subscription)

    @abstractmethod
    async def _subscribed(self, subscription: Subscription[Any]) -> Subscription[Any]: ...

    @abstractmethod
    async def _unsubscribed(self, subscription: Subscription[Any]) -> None: ...
