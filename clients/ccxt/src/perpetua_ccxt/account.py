"""The account as ccxt's structures."""

from ccxt.base.precise import Precise

LEDGER_TYPES = {"DEPOSIT": "transaction", "WITHDRAW": "transaction", "TRADING_FEE": "fee", "LIQUIDATION_FEE": "fee"}


class Account:
    """Mixed into ccxt's Exchange."""

    def parse_balance(self, response):
        """The money of the account."""
        result = {"info": response, "timestamp": None, "datetime": None}
        for balance in response:
            account = self.account()
            account["total"], account["used"] = self.safe_string(balance, "total"), self.safe_string(balance, "locked")
            account["free"] = self.safe_string(balance, "available")
            result[self.safe_string(balance, "asset")] = account
        return self.safe_balance(result)

    def parse_position(self, position, market=None):
        """An open position, in cross margin; `timestamp` is now, when it was valued."""
        market = self.safe_market(self.safe_string(position, "marketId"), market)
        quantity, mark = self.safe_string(position, "quantity"), self.safe_string(position, "markPrice")
        notional, margin = Precise.string_mul(quantity, mark), self.safe_string(position, "initialMargin")
        maintenance, profit = (
            self.safe_string(position, "maintenanceMargin"),
            self.safe_string(position, "unrealizedPnl"),
        )
        now = self.milliseconds()
        return self.safe_position(
            {
                "info": position,
                "id": None,
                "symbol": market["symbol"],
                "timestamp": now,
                "datetime": self.iso8601(now),
                "side": self.safe_string_lower(position, "side"),
                "contracts": self.parse_number(quantity),
                "contractSize": self.parse_number("1"),
                "entryPrice": self.safe_number(position, "entryPrice"),
                "markPrice": self.parse_number(mark),
                "notional": self.parse_number(notional),
                "leverage": self.safe_number(position, "leverage"),
                "collateral": self.parse_number(margin),
                "initialMargin": self.parse_number(margin),
                "initialMarginPercentage": self.parse_number(Precise.string_div(margin, notional)),
                "maintenanceMargin": self.parse_number(maintenance),
                "maintenanceMarginPercentage": self.parse_number(Precise.string_div(maintenance, notional)),
                "marginRatio": None,
                "unrealizedPnl": self.parse_number(profit),
                "realizedPnl": self.safe_number(position, "realizedPnl"),
                "percentage": self.parse_number(Precise.string_mul(Precise.string_div(profit, margin), "100")),
                "liquidationPrice": self.safe_number(position, "liquidationPrice"),
                "marginMode": "cross",
                "hedged": False,
            }
        )

    def parse_leverage(self, leverage, market=None):
        """The leverage of a market, of both sides."""
        market = self.safe_market(self.safe_string(leverage, "marketId"), market)
        value = self.safe_integer(leverage, "leverage")
        return {
            "info": leverage,
            "symbol": market["symbol"],
            "marginMode": "cross",
            "longLeverage": value,
            "shortLeverage": value,
        }

    def parse_ledger_entry(self, item, currency=None):
        """A line of the ledger."""
        amount, after = self.safe_string(item, "amount"), self.safe_string(item, "balanceAfter")
        time = self.parse8601(self.safe_string(item, "time"))
        return self.safe_ledger_entry(
            {
                "info": item,
                "id": self.safe_string(item, "entryId"),
                "direction": "out" if Precise.string_lt(amount, "0") else "in",
                "account": "swap",
                "referenceId": self.safe_string(item, "referenceId"),
                "referenceAccount": None,
                "type": self.safe_string(LEDGER_TYPES, self.safe_string(item, "type"), "trade"),
                "currency": self.safe_currency_code(self.safe_string(item, "asset"), currency),
                "amount": self.parse_number(Precise.string_abs(amount)),
                "timestamp": time,
                "datetime": self.iso8601(time),
                "before": self.parse_number(Precise.string_sub(after, amount)),
                "after": self.parse_number(after),
                "status": "ok",
                "fee": {"cost": self.parse_number("0"), "currency": self.safe_string(item, "asset")},
            },
            currency,
        )

    def parse_transaction(self, transaction, currency=None):
        """A deposit or a withdrawal, out of the ledger: a booking, without a network or an address."""
        time = self.parse8601(self.safe_string(transaction, "time"))
        return {
            "info": transaction,
            "id": self.safe_string(transaction, "entryId"),
            "txid": self.safe_string(transaction, "referenceId"),
            "timestamp": time,
            "datetime": self.iso8601(time),
            **dict.fromkeys(("network", "address", "addressTo", "addressFrom", "tag", "tagTo", "tagFrom", "comment")),
            "type": "deposit" if self.safe_string(transaction, "type") == "DEPOSIT" else "withdrawal",
            "amount": self.parse_number(Precise.string_abs(self.safe_string(transaction, "amount"))),
            "currency": self.safe_currency_code(self.safe_string(transaction, "asset"), currency),
            "status": "ok",
            "updated": time,
            "internal": None,
            "fee": {"cost": self.parse_number("0"), "currency": self.safe_string(transaction, "asset")},
        }
