"""The exchange for ccxt.pro: the socket. One connection for everything; private channels resume from their last cursor."""

from ccxt.async_support.base.ws.cache import (
    ArrayCache,
    ArrayCacheBySymbolById,
    ArrayCacheBySymbolBySide,
    ArrayCacheByTimestamp,
)
from ccxt.base.errors import ExchangeError, InvalidNonce

from perpetua_ccxt import rest_async
from perpetua_ccxt.description import WATCHED

AUTHENTICATED = "authenticated"
DEPTHS = (5, 10, 25, 50, 100, 500)


class perpetua(rest_async.perpetua):  # noqa: N801 - ccxt's classes are named after their ids
    """Every `watch` method that `has` names."""

    def describe(self):
        """What ccxt is told, with the socket."""
        options = {"tradesLimit": 1000, "ordersLimit": 1000, "OHLCVLimit": 1000}
        return self.deep_extend(
            super().describe(),
            {"has": dict.fromkeys(WATCHED, True), "options": options, "streaming": {"keepAlive": 30000}},
        )

    # --- public

    async def watch_order_book(self, symbol, limit=None, params=None):
        """The book of a market, after its next change."""
        market = await self.market_of(symbol)
        depth = next((depth for depth in DEPTHS if depth >= (limit or 50)), DEPTHS[-1])
        name = f"book:{market['id']}:{depth}"
        request = {"channel": "book", "market": market["id"], "depth": depth, **(params or {})}
        return (await self.subscribe(name, request)).limit()

    async def watch_trades(self, symbol, since=None, limit=None, params=None):
        """New trades of a market."""
        market = await self.market_of(symbol)
        name = f"trades:{market['id']}"
        trades = await self.subscribe(name, {"channel": "trades", "market": market["id"], **(params or {})})
        limit = trades.getLimit(market["symbol"], limit) if self.newUpdates else limit
        return self.filter_by_since_limit(trades, since, limit, "timestamp", True)

    async def watch_ticker(self, symbol, params=None):
        """A market at a glance, after its next change."""
        market = await self.market_of(symbol)
        request = {"channel": "ticker", "market": market["id"], **(params or {})}
        return await self.subscribe(f"ticker:{market['id']}", request)

    async def watch_ohlcv(self, symbol, timeframe="1m", since=None, limit=None, params=None):
        """The candles of a market."""
        market, interval = await self.market_of(symbol), self.timeframes[timeframe]
        request = {"channel": "candles", "market": market["id"], "interval": interval, **(params or {})}
        candles = await self.subscribe(f"candles:{market['id']}:{interval}", request)
        limit = candles.getLimit(market["symbol"], limit) if self.newUpdates else limit
        return self.filter_by_since_limit(candles, since, limit, 0, True)

    # --- the account

    async def watch_orders(self, symbol=None, since=None, limit=None, params=None):
        """Changed orders."""
        orders = await self.subscribe_private("orders", symbol, params)
        limit = orders.getLimit(symbol, limit) if self.newUpdates else limit
        return self.filter_by_symbol_since_limit(orders, symbol, since, limit, True)

    async def watch_my_trades(self, symbol=None, since=None, limit=None, params=None):
        """New fills."""
        trades = await self.subscribe_private("fills", symbol, params)
        limit = trades.getLimit(symbol, limit) if self.newUpdates else limit
        return self.filter_by_symbol_since_limit(trades, symbol, since, limit, True)

    async def watch_positions(self, symbols=None, since=None, limit=None, params=None):
        """Changed positions; one that is closed has no contracts."""
        positions = await self.subscribe_private("positions", None, params)
        return self.filter_by_symbols_since_limit(positions, self.market_symbols(symbols), since, limit, True)

    async def watch_balance(self, params=None):
        """The money of the account, after its next change."""
        return await self.subscribe_private("balances", None, params)

    # --- the connection

    async def market_of(self, symbol):
        """A market."""
        await self.load_markets()
        return self.market(symbol)

    def socket_url(self):
        """Where the socket is."""
        return self.urls["api"]["rest"].replace("http", "ws", 1) + "/ws"

    async def subscribe(self, name, request):
        """Subscribe once a connection; the next value of this name."""
        return await self.watch(self.socket_url(), name, {"op": "subscribe", "id": name, **request}, name)

    async def subscribe_private(self, channel, symbol=None, params=None):
        """Subscribe to a channel of the account: all of it, or a market."""
        await self.load_markets()
        await self.authenticate()
        cursor = self.safe_string(self.cursors(), channel)
        request = {"op": "subscribe", "id": channel, "channel": channel, **(params or {})}
        if cursor is not None:
            request["from"] = cursor
        name = channel if symbol is None else f"{channel}:{self.market(symbol)['id']}"
        return await self.watch(self.socket_url(), name, request, channel)

    async def authenticate(self, params=None):
        """Sign once a connection."""
        self.check_required_credentials()
        url = self.socket_url()
        client = self.client(url)
        if client.subscriptions.get("auth") == AUTHENTICATED:
            return
        future = client.reusableFuture("auth")
        if "auth" not in client.subscriptions:
            signed = self.signature("GET", "/ws")
            request = {
                "op": "auth",
                "id": "auth",
                "apiKey": signed["X-Api-Key"],
                "timestamp": signed["X-Timestamp"],
                "signature": signed["X-Signature"],
            }
            self.watch(url, "auth", {**request, **(params or {})}, "auth")
        await future

    def cursors(self):
        """The last cursor of each channel of the account."""
        return self.options.setdefault("cursors", {})

    # --- what comes

    def handle_message(self, client, message):
        """One frame."""
        op = self.safe_string(message, "op")
        if op in ("result", "error"):
            self.handle_result(client, message)
            return
        if "cursor" in message:
            self.cursors()[message["channel"]] = message["cursor"]
        handler = {
            "snapshot": self.handle_book,
            "update": self.handle_book,
            "trade": self.handle_trade,
            "ticker": self.handle_ticker,
            "candle": self.handle_candle,
            "order": self.handle_order,
            "fill": self.handle_fill,
            "position": self.handle_position,
            "balance": self.handle_balance,
        }.get(op)
        if handler is not None:
            handler(client, message)

    def handle_result(self, client, message):
        """An answer: of `auth`, or of a subscription that is refused."""
        name, body = self.safe_string(message, "id"), self.safe_dict(message, "body", {})
        error = self.safe_dict(body, "error")
        if error is None:
            if name == "auth":
                client.subscriptions["auth"] = AUTHENTICATED
                client.resolve(message, "auth")
            return
        kind = self.safe_value(self.exceptions["exact"], self.safe_string(error, "code"), ExchangeError)
        client.subscriptions.pop(name, None)
        for future in [each for each in client.futures if each == name or each.startswith(f"{name}:")]:
            client.reject(kind(f"{self.id} {self.json(error)}"), future)

    def handle_book(self, client, message):
        """A snapshot, or the levels that have changed since the message before."""
        symbol, name = self.safe_symbol(message["market"]), f"book:{message['market']}:{message['depth']}"
        book = self.orderbooks.get(name)
        if message["op"] == "snapshot":
            book = self.orderbooks[name] = self.order_book({}, message["depth"])
            book["symbol"] = symbol
        elif book is None or book["nonce"] != message["previous"]:
            client.subscriptions.pop(name, None)
            client.reject(InvalidNonce(f"{self.id} the book of {symbol} has a gap: watch it again"), name)
            client.on_error(InvalidNonce(f"{self.id} a gap"))
            return
        for side in ("bids", "asks"):
            for price, quantity in message[side]:
                book[side].store(self.parse_number(price), self.parse_number(quantity))
        book["nonce"], book["timestamp"] = message["sequence"], self.parse8601(message["time"])
        book["datetime"] = self.iso8601(book["timestamp"])
        client.resolve(book, name)

    def handle_trade(self, client, message):
        """A trade."""
        market = self.safe_market(message["market"])
        trades = self.trades.setdefault(market["symbol"], ArrayCache(self.options["tradesLimit"]))
        trades.append(self.parse_trade(message["data"], market))
        client.resolve(trades, f"trades:{market['id']}")

    def handle_ticker(self, client, message):
        """A ticker."""
        market = self.safe_market(message["market"])
        ticker = self.tickers[market["symbol"]] = self.parse_ticker(message["data"], market)
        client.resolve(ticker, f"ticker:{market['id']}")

    def handle_candle(self, client, message):
        """A candle, open or closed."""
        market, interval = self.safe_market(message["market"]), message["interval"]
        kept = self.ohlcvs.setdefault(market["symbol"], {})
        candles = kept.setdefault(interval, ArrayCacheByTimestamp(self.options["OHLCVLimit"]))
        candles.append(self.parse_ohlcv(message["data"], market))
        client.resolve(candles, f"candles:{market['id']}:{interval}")

    def handle_order(self, client, message):
        """A changed order."""
        self.orders = self.orders or ArrayCacheBySymbolById(self.options["ordersLimit"])
        self.orders.append(self.parse_order(message["data"]))
        self.resolve_private(client, "orders", self.orders, message["market"])

    def handle_fill(self, client, message):
        """A fill."""
        self.myTrades = self.myTrades or ArrayCacheBySymbolById(self.options["tradesLimit"])
        self.myTrades.append(self.parse_trade(message["data"]))
        self.resolve_private(client, "fills", self.myTrades, message["market"])

    def handle_position(self, client, message):
        """A position; closed ones come as one without contracts."""
        self.positions = self.positions or ArrayCacheBySymbolBySide()
        market, data = self.safe_market(message["market"]), message["data"]
        if data is not None:
            self.positions.append(self.parse_position(data, market))
        else:
            for side in ("LONG", "SHORT"):
                closed = {"marketId": market["id"], "side": side, "quantity": "0"}
                self.positions.append(self.parse_position(closed, market))
        self.resolve_private(client, "positions", self.positions, message["market"])

    def handle_balance(self, client, message):
        """The balance."""
        self.balance = self.parse_balance([message["data"]])
        client.resolve(self.balance, "balances")

    def resolve_private(self, client, channel, value, market):
        """Wake who watches the whole channel, and who watches this market."""
        client.resolve(value, channel)
        client.resolve(value, f"{channel}:{market}")
