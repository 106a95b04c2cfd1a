"""Markets and what happens in them, as ccxt's structures."""

from ccxt.base.errors import ArgumentsRequired
from ccxt.base.precise import Precise


class Markets:
    """Mixed into ccxt's Exchange."""

    def parse_market(self, market):
        """A linear perpetual swap of contract size 1."""
        base, quote = self.safe_string(market, "baseAsset"), self.safe_string(market, "quoteAsset")
        return self.safe_market_structure(
            {
                "id": self.safe_string(market, "id"),
                "symbol": f"{base}/{quote}:{quote}",
                **{"base": base, "quote": quote, "settle": quote, "baseId": base, "quoteId": quote, "settleId": quote},
                **{"type": "swap", "spot": False, "margin": False, "swap": True, "future": False, "option": False},
                **{"contract": True, "linear": True, "inverse": False, "contractSize": self.parse_number("1")},
                "active": self.safe_string(market, "status") == "ACTIVE",
                "taker": self.safe_number(market, "takerFeeRate"),
                "maker": self.safe_number(market, "makerFeeRate"),
                "precision": {
                    "amount": self.safe_number(market, "lotSize"),
                    "price": self.safe_number(market, "tickSize"),
                },
                "limits": {
                    "amount": {
                        "min": self.safe_number(market, "minQuantity"),
                        "max": self.safe_number(market, "maxQuantity"),
                    },
                    "price": {"min": self.safe_number(market, "tickSize"), "max": None},
                    "cost": {"min": self.safe_number(market, "minNotional"), "max": None},
                    "leverage": {"min": self.parse_number("1"), "max": self.safe_number(market, "maxLeverage")},
                },
                "marginModes": {"cross": True, "isolated": False},
                "created": None,
                "info": market,
            }
        )

    def parse_ticker(self, ticker, market=None):
        """A market at a glance."""
        market = self.safe_market(self.safe_string(ticker, "marketId"), market)
        time = self.parse8601(self.safe_string(ticker, "time"))
        bid, ask = self.safe_dict(ticker, "bestBid", {}), self.safe_dict(ticker, "bestAsk", {})
        rate = self.safe_string(ticker, "changeRate24h")
        return self.safe_ticker(
            {
                "symbol": market["symbol"],
                "timestamp": time,
                "datetime": self.iso8601(time),
                **{"high": self.safe_string(ticker, "high24h"), "low": self.safe_string(ticker, "low24h")},
                **{"bid": self.safe_string(bid, "price"), "bidVolume": self.safe_string(bid, "quantity")},
                **{"ask": self.safe_string(ask, "price"), "askVolume": self.safe_string(ask, "quantity")},
                **{"open": self.safe_string(ticker, "open24h"), "last": self.safe_string(ticker, "lastPrice")},
                "close": self.safe_string(ticker, "lastPrice"),
                "change": self.safe_string(ticker, "change24h"),
                "percentage": None if rate is None else Precise.string_mul(rate, "100"),
                "baseVolume": self.safe_string(ticker, "volume24h"),
                "quoteVolume": self.safe_string(ticker, "notional24h"),
                "markPrice": self.safe_string(ticker, "markPrice"),
                "indexPrice": self.safe_string(ticker, "indexPrice"),
                "info": ticker,
            },
            market,
        )

    def parse_trade(self, trade, market=None):
        """A public trade, or a fill of the account."""
        market = self.safe_market(self.safe_string(trade, "marketId"), market)
        time = self.parse8601(self.safe_string(trade, "time"))
        fee = self.safe_string(trade, "fee")
        return self.safe_trade(
            {
                "info": trade,
                "id": self.safe_string(trade, "tradeId"),
                "order": self.safe_string(trade, "orderId"),
                "timestamp": time,
                "datetime": self.iso8601(time),
                "symbol": market["symbol"],
                "type": None,
                "side": self.safe_string_lower_2(trade, "takerSide", "side"),
                "takerOrMaker": self.safe_string_lower(trade, "liquidityRole"),
                "price": self.safe_string(trade, "price"),
                "amount": self.safe_string(trade, "quantity"),
                "cost": self.safe_string(trade, "notional"),
                "fee": None if fee is None else {"cost": fee, "currency": self.safe_string(trade, "feeAsset")},
            },
            market,
        )

    def parse_ohlcv(self, candle, market=None):
        """A candle."""
        prices = (self.safe_number(candle, name) for name in ("open", "high", "low", "close", "volume"))
        return [self.parse8601(self.safe_string(candle, "time")), *prices]

    def parse_funding_rate(self, contract, market=None):
        """The current funding of a market, out of its ticker."""
        market = self.safe_market(self.safe_string(contract, "marketId"), market)
        time = self.parse8601(self.safe_string(contract, "time"))
        following = self.parse8601(self.safe_string(contract, "nextFundingTime"))
        predicted = self.safe_string_2(contract, "predictedFundingRate", "fundingRate")
        return {
            "info": contract,
            "symbol": market["symbol"],
            "markPrice": self.safe_number(contract, "markPrice"),
            "indexPrice": self.safe_number(contract, "indexPrice"),
            "interestRate": None,
            "estimatedSettlePrice": None,
            "timestamp": time,
            "datetime": self.iso8601(time),
            "fundingRate": self.parse_number(predicted),
            "fundingTimestamp": following,
            "fundingDatetime": self.iso8601(following),
            **dict.fromkeys(("nextFundingRate", "nextFundingTimestamp", "nextFundingDatetime")),
            "previousFundingRate": self.safe_number(contract, "fundingRate"),
            **dict.fromkeys(("previousFundingTimestamp", "previousFundingDatetime")),
            "interval": f"{market['info']['fundingIntervalHours']}h",
        }

    def parse_past_funding(self, funding, symbol):
        """The funding of an interval that has ended."""
        time = self.parse8601(self.safe_string(funding, "time"))
        rate = self.safe_number(funding, "rate")
        return {
            "info": funding,
            "symbol": symbol,
            "fundingRate": rate,
            "timestamp": time,
            "datetime": self.iso8601(time),
        }

    def parse_funding_payment(self, payment, market=None):
        """What a position paid or got."""
        market = self.safe_market(self.safe_string(payment, "marketId"), market)
        time = self.parse8601(self.safe_string(payment, "time"))
        return {
            "info": payment,
            "symbol": market["symbol"],
            "code": market["settle"],
            "timestamp": time,
            "datetime": self.iso8601(time),
            "id": self.safe_string(payment, "eventId"),
            "amount": self.safe_number(payment, "amount"),
        }

    def parse_market_leverage_tiers(self, info, market=None):
        """The risk tiers of a market."""
        tiers, lower = [], "0"
        for number, tier in enumerate(self.safe_list(info, "riskTiers", [])):
            upper = self.safe_string(tier, "notionalUpTo")
            tiers.append(
                {
                    "tier": number + 1,
                    "symbol": market["symbol"],
                    "currency": market["quote"],
                    "minNotional": self.parse_number(lower),
                    "maxNotional": self.parse_number(upper),
                    "maintenanceMarginRate": self.safe_number(tier, "maintenanceMarginRate"),
                    "maxLeverage": self.safe_number(tier, "maxLeverage"),
                    "info": tier,
                }
            )
            lower = upper
        return tiers

    def needed_symbol(self, symbol, method):
        """The market of a symbol that has to be given."""
        if symbol is None:
            raise ArgumentsRequired(f"{self.id} {method}() needs a symbol")
        return self.market(symbol)
