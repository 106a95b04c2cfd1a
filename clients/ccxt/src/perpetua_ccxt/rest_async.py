"""The exchange for ccxt.async_support. The sync class is made of this file: `python clients/ccxt/unasync.py`."""

import ccxt.async_support as ccxt

from perpetua_ccxt.parsing import ENDED, LIMIT_MAX, OPEN, Parsing


class perpetua(Parsing, ccxt.Exchange):  # noqa: N801 - ccxt's classes are named after their ids
    """Every REST method that `has` names."""

    # --- public

    async def fetch_time(self, params=None):
        """The time of the exchange."""
        return self.parse8601((await self.request("time", "public", "GET", params or {}))["time"])

    async def fetch_status(self, params=None):
        """Whether orders are accepted."""
        health = await self.request("healthz", "public", "GET", params or {})
        status = "ok" if health["status"] == "ok" else "maintenance"
        return {"status": status, "updated": self.milliseconds(), "eta": None, "url": None, "info": health}

    async def fetch_markets(self, params=None):
        """Every market."""
        if self.options["adjustForTimeDifference"]:
            await self.load_time_difference()
        found = await self.request("markets", "public", "GET", {"limit": LIMIT_MAX, **(params or {})})
        return self.parse_markets(found["data"])

    async def fetch_ticker(self, symbol, params=None):
        """A market at a glance."""
        await self.load_markets()
        market = self.market(symbol)
        ticker = await self.request(
            "markets/{marketId}/ticker", "public", "GET", {"marketId": market["id"], **(params or {})}
        )
        return self.parse_ticker(ticker, market)

    async def fetch_tickers(self, symbols=None, params=None):
        """Every market at a glance."""
        await self.load_markets()
        symbols = self.market_symbols(symbols) or self.symbols
        return {symbol: await self.fetch_ticker(symbol, params) for symbol in symbols}

    async def fetch_order_book(self, symbol, limit=None, params=None):
        """The best levels of a market."""
        await self.load_markets()
        market = self.market(symbol)
        query = {"marketId": market["id"], **({} if limit is None else {"depth": limit}), **(params or {})}
        book = await self.request("markets/{marketId}/orderbook", "public", "GET", query)
        time = self.parse8601(book["time"])
        result = self.parse_order_book(book, market["symbol"], time, "bids", "asks", "price", "quantity")
        result["nonce"] = book["sequence"]
        return result

    async def fetch_trades(self, symbol, since=None, limit=None, params=None):
        """The trades of a market."""
        await self.load_markets()
        market = self.market(symbol)
        query = {"marketId": market["id"], **self.listed(since, limit, params)}
        found = await self.request("markets/{marketId}/trades", "public", "GET", query)
        return self.parse_trades(found["data"], market, since, limit)

    async def fetch_ohlcv(self, symbol, timeframe="1m", since=None, limit=None, params=None):
        """The candles of a market."""
        await self.load_markets()
        market = self.market(symbol)
        query = {"marketId": market["id"], "interval": self.timeframes[timeframe], **self.listed(since, limit, params)}
        found = await self.request("markets/{marketId}/candles", "public", "GET", query)
        return self.parse_ohlcvs(found["data"], market, timeframe, since, limit)

    async def fetch_funding_rate(self, symbol, params=None):
        """The current funding of a market."""
        return self.parse_funding_rate((await self.fetch_ticker(symbol, params))["info"], self.market(symbol))

    async def fetch_funding_rates(self, symbols=None, params=None):
        """The current funding of every market."""
        tickers = await self.fetch_tickers(symbols, params)
        return {
            symbol: self.parse_funding_rate(ticker["info"], self.market(symbol)) for symbol, ticker in tickers.items()
        }

    async def fetch_funding_rate_history(self, symbol=None, since=None, limit=None, params=None):
        """The fundings of a market."""
        await self.load_markets()
        market = self.needed_symbol(symbol, "fetchFundingRateHistory")
        query = {"marketId": market["id"], **self.listed(since, limit, params)}
        found = await self.request("markets/{marketId}/funding", "public", "GET", query)
        rates = [self.parse_past_funding(funding, market["symbol"]) for funding in found["data"]]
        return self.filter_by_symbol_since_limit(self.sort_by(rates, "timestamp"), market["symbol"], since, limit)

    async def fetch_open_interest(self, symbol, params=None):
        """What is open in a market."""
        ticker = (await self.fetch_ticker(symbol, params))["info"]
        time, amount = self.parse8601(ticker["time"]), self.safe_number(ticker, "openInterest")
        found = {"symbol": self.market(symbol)["symbol"], "openInterestAmount": amount, "openInterestValue": None}
        return self.safe_open_interest({**found, "timestamp": time, "datetime": self.iso8601(time), "info": ticker})

    async def fetch_leverage_tiers(self, symbols=None, params=None):
        """The risk tiers of markets."""
        await self.load_markets(True)
        wanted = self.market_symbols(symbols) or self.symbols
        return {
            symbol: self.parse_market_leverage_tiers(self.market(symbol)["info"], self.market(symbol))
            for symbol in wanted
        }

    async def fetch_market_leverage_tiers(self, symbol, params=None):
        """The risk tiers of a market."""
        return (await self.fetch_leverage_tiers([symbol], params))[self.market(symbol)["symbol"]]

    async def fetch_trading_fee(self, symbol, params=None):
        """The fees of a market."""
        return (await self.fetch_trading_fees(params))[self.market(symbol)["symbol"]]

    async def fetch_trading_fees(self, params=None):
        """The fees of every market, the same for all accounts."""
        await self.load_markets()
        fixed = {"percentage": True, "tierBased": False}
        return {
            symbol: {
                "symbol": symbol,
                "info": market["info"],
                "maker": market["maker"],
                "taker": market["taker"],
                **fixed,
            }
            for symbol, market in self.markets.items()
        }

    # --- the account

    async def fetch_balance(self, params=None):
        """The money of the account."""
        await self.load_markets()
        return self.parse_balance(await self.request("balances", "private", "GET", params or {}))

    async def fetch_positions(self, symbols=None, params=None):
        """The open positions."""
        await self.load_markets()
        found = await self.request("positions", "private", "GET", params or {})
        return self.filter_by_array(self.parse_positions(found), "symbol", self.market_symbols(symbols), False)

    async def fetch_position(self, symbol, params=None):
        """The open position in a market; None without one."""
        found = await self.fetch_positions([symbol], params)
        return found[0] if found else None

    async def fetch_leverage(self, symbol, params=None):
        """The leverage in a market."""
        await self.load_markets()
        market = self.market(symbol)
        query = {"marketId": market["id"], **(params or {})}
        return self.parse_leverage(await self.request("positions/{marketId}/leverage", "private", "GET", query), market)

    async def set_leverage(self, leverage, symbol=None, params=None):
        """Set the leverage in a market."""
        await self.load_markets()
        market = self.needed_symbol(symbol, "setLeverage")
        query = {"marketId": market["id"], "leverage": int(leverage), **(params or {})}
        return await self.request("positions/{marketId}/leverage", "private", "POST", query)

    async def fetch_ledger(self, code=None, since=None, limit=None, params=None):
        """The ledger of the account."""
        await self.load_markets()
        currency = None if code is None else self.currency(code)
        found = await self.request("ledger", "private", "GET", self.listed(since, limit, params))
        return self.parse_ledger(found["data"], currency, since, limit)

    async def fetch_deposits(self, code=None, since=None, limit=None, params=None):
        """Deposits, out of the ledger."""
        return await self.fetch_transfers_of("DEPOSIT", code, since, limit, params)

    async def fetch_withdrawals(self, code=None, since=None, limit=None, params=None):
        """Withdrawals, out of the ledger."""
        return await self.fetch_transfers_of("WITHDRAW", code, since, limit, params)

    async def fetch_transfers_of(self, kind, code=None, since=None, limit=None, params=None):
        """The entries of one kind among all of the ledger."""
        await self.load_markets()
        currency = None if code is None else self.currency(code)
        query, found = self.listed(since, LIMIT_MAX, params), []
        while query is not None:
            page = await self.request("ledger", "private", "GET", query)
            found += [entry for entry in page["data"] if entry["type"] == kind]
            is_over = page["nextCursor"] is None or (limit is not None and len(found) >= limit)
            query = None if is_over else {**query, "cursor": page["nextCursor"]}
        return self.parse_transactions(found, currency, since, limit)

    async def fetch_funding_history(self, symbol=None, since=None, limit=None, params=None):
        """What positions paid and got as funding."""
        await self.load_markets()
        _, query = self.listed_in(symbol, since, limit, params)
        found = await self.request("funding-payments", "private", "GET", query)
        payments = self.sort_by([self.parse_funding_payment(payment) for payment in found["data"]], "timestamp")
        return self.filter_by_symbol_since_limit(payments, symbol, since, limit)

    # --- orders

    async def create_order(self, symbol, type, side, amount, price=None, params=None):  # noqa: A002 - ccxt's names
        """Place an order; one whose answer is lost is found, or placed, by calling again with the same `clientOrderId`."""
        await self.load_markets()
        request = self.order_request(symbol, type, side, amount, price, params)
        answer = await self.request("orders", "private", "POST", request)
        return self.taken_order(request, answer, self.market(symbol))

    async def create_orders(self, orders, params=None):
        """Place up to 20 orders; each is accepted or refused on its own."""
        await self.load_markets()
        requests = [
            self.order_request(
                order["symbol"],
                order["type"],
                order["side"],
                order["amount"],
                order.get("price"),
                {**(params or {}), **(order.get("params") or {})},
            )
            for order in orders
        ]
        answers = (await self.request("orders/batch", "private", "POST", {"orders": requests}))["orders"]
        return [
            self.taken_order(request, answer if answer["error"] is None else {**answer, "status": "REJECTED"}, None)
            for request, answer in zip(requests, answers, strict=True)
        ]

    async def edit_order(self, id, symbol, type=None, side=None, amount=None, price=None, params=None):  # noqa: A002
        """Give an order a new total quantity, price or trigger price."""
        await self.load_markets()
        params = params or {}
        trigger = self.safe_string_n(params, ["triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice"])
        request = {"orderId": id}
        if amount is not None:
            request["quantity"] = self.amount_to_precision(symbol, amount)
        if price is not None:
            request["price"] = self.price_to_precision(symbol, price)
        if trigger is not None:
            request["triggerPrice"] = self.price_to_precision(symbol, trigger)
        answer = await self.request("orders/{orderId}", "private", "PUT", request)
        return self.taken_order(request, {**answer, "status": "OPEN"}, self.market(symbol))

    async def cancel_order(self, id, symbol=None, params=None):  # noqa: A002 - ccxt's names
        """Cancel an order, by its id or by `clientOrderId`."""
        await self.load_markets()
        market = None if symbol is None else self.market(symbol)
        client_order_id = self.safe_string(params or {}, "clientOrderId")
        if client_order_id is None:
            answer = await self.request("orders/{orderId}", "private", "DELETE", {"orderId": id})
        else:
            query = {"clientOrderId": client_order_id}
            answer = await self.request("orders/by-client-id/{clientOrderId}", "private", "DELETE", query)
        return self.taken_order({}, {**answer, "status": "OPEN"}, market)

    async def cancel_all_orders(self, symbol=None, params=None):
        """Cancel every live and waiting order, of a market or of all."""
        await self.load_markets()
        query = {**({} if symbol is None else {"marketId": self.market(symbol)["id"]}), **(params or {})}
        answers = (await self.request("orders", "private", "DELETE", query))["orders"]
        return [
            self.taken_order({}, {**answer, "status": "OPEN"}, None) for answer in answers if answer["error"] is None
        ]

    async def cancel_all_orders_after(self, timeout, params=None):
        """Have the orders of every market end unless this is called again in time; 0 stops it."""
        return await self.request("orders/countdown", "private", "POST", {"countdownMs": timeout, **(params or {})})

    async def fetch_order(self, id, symbol=None, params=None):  # noqa: A002 - ccxt's names
        """One order, by its id or by `clientOrderId`."""
        await self.load_markets()
        market = None if symbol is None else self.market(symbol)
        client_order_id = self.safe_string(params or {}, "clientOrderId")
        if client_order_id is None:
            return self.parse_order(await self.request("orders/{orderId}", "private", "GET", {"orderId": id}), market)
        query = {"clientOrderId": client_order_id}
        return self.parse_order(
            await self.request("orders/by-client-id/{clientOrderId}", "private", "GET", query), market
        )

    async def fetch_orders(self, symbol=None, since=None, limit=None, params=None):
        """Orders of the account."""
        await self.load_markets()
        market, query = self.listed_in(symbol, since, limit, params)
        found = await self.request("orders", "private", "GET", query)
        return self.parse_orders(found["data"], market, since, limit)

    async def fetch_open_orders(self, symbol=None, since=None, limit=None, params=None):
        """Orders that have not ended, those that wait for their trigger too."""
        return await self.fetch_orders(symbol, since, limit, {"status": OPEN, **(params or {})})

    async def fetch_closed_orders(self, symbol=None, since=None, limit=None, params=None):
        """Orders that have ended."""
        return await self.fetch_orders(symbol, since, limit, {"status": ENDED, **(params or {})})

    async def fetch_my_trades(self, symbol=None, since=None, limit=None, params=None):
        """The fills of the account."""
        await self.load_markets()
        market, query = self.listed_in(symbol, since, limit, params)
        found = await self.request("fills", "private", "GET", query)
        return self.parse_trades(found["data"], market, since, limit)

    async def fetch_order_trades(self, id, symbol=None, since=None, limit=None, params=None):  # noqa: A002 - ccxt's names
        """The fills of an order."""
        return await self.fetch_my_trades(symbol, since, limit, {"orderId": id, **(params or {})})
