"""From ccxt's arguments to an order, and back."""

import uuid

from ccxt.base.errors import ArgumentsRequired
from ccxt.base.precise import Precise

STATUSES = {
    **dict.fromkeys(("PENDING", "OPEN", "PARTIALLY_FILLED", "UNTRIGGERED", "TRIGGERED"), "open"),
    "FILLED": "closed",
    "CANCELLED": "canceled",
    "EXPIRED": "expired",
    "REJECTED": "rejected",
}
OPEN = "PENDING,OPEN,PARTIALLY_FILLED,UNTRIGGERED,TRIGGERED"
ENDED = "FILLED,CANCELLED,EXPIRED,REJECTED"
UNIFIED = (
    "clientOrderId postOnly reduceOnly timeInForce triggerPrice stopPrice stopLossPrice takeProfitPrice stopLoss takeProfit "
    "trailingPercent trailingTriggerPrice triggerDirection"
).split()


class Orders:
    """Mixed into ccxt's Exchange."""

    def order_request(self, symbol, type, side, amount, price=None, params=None):  # noqa: A002 - ccxt's names
        """The body of POST /orders."""
        params = params or {}
        market = self.market(symbol)
        kind, trigger = self.order_kind(type, side, price, params)
        request = {
            "marketId": market["id"],
            "side": side.upper(),
            "type": kind,
            "clientOrderId": self.safe_string(params, "clientOrderId") or uuid.uuid4().hex,
        }
        if amount is not None:
            request["quantity"] = self.amount_to_precision(symbol, amount)
        if kind in ("LIMIT", "STOP", "TAKE_PROFIT"):
            if price is None:
                raise ArgumentsRequired(f"{self.id} create_order() needs a price for a limit order")
            request["price"] = self.price_to_precision(symbol, price)
        if trigger is not None:
            request["triggerPrice"] = self.price_to_precision(symbol, trigger)
        if kind == "TRAILING_STOP_MARKET":
            request["callbackRate"] = Precise.string_div(self.safe_string(params, "trailingPercent"), "100")
            activation = self.safe_string(params, "trailingTriggerPrice")
            request |= {} if activation is None else {"activationPrice": self.price_to_precision(symbol, activation)}
        return request | self.order_flags(symbol, kind, params) | self.omit(params, UNIFIED)

    def order_kind(self, type, side, price, params):  # noqa: A002 - ccxt's names
        """The exchange's type of an order, and its trigger price."""
        stop_loss, take_profit = self.safe_string(params, "stopLossPrice"), self.safe_string(params, "takeProfitPrice")
        trigger = self.safe_string_2(params, "triggerPrice", "stopPrice")
        if self.safe_string(params, "trailingPercent") is not None:
            return "TRAILING_STOP_MARKET", None
        if stop_loss is None and take_profit is None and trigger is None:
            return type.upper(), None
        rises = self.safe_string_lower(params, "triggerDirection")
        takes = (
            take_profit is not None or rises in ({"buy": ("descending", "below"), "sell": ("ascending", "above")}[side])
        )
        kind = "TAKE_PROFIT" if takes else "STOP"
        return (kind if type == "limit" else f"{kind}_MARKET"), stop_loss or take_profit or trigger

    def order_flags(self, symbol, kind, params):
        """Post-only, time in force, reduce-only, and the orders attached."""
        flags = {}
        tif = self.safe_string_upper(params, "timeInForce")
        if self.safe_bool(params, "postOnly", False) or tif == "PO":
            flags["postOnly"] = True
        elif tif is not None:
            flags["timeInForce"] = tif
        closes = "stopLossPrice" in params or "takeProfitPrice" in params or kind == "TRAILING_STOP_MARKET"
        if self.safe_bool(params, "reduceOnly", closes):
            flags["reduceOnly"] = True
        for name in ("stopLoss", "takeProfit"):
            leg = self.safe_dict(params, name)
            if leg is not None:
                trigger = self.safe_string_2(leg, "triggerPrice", "stopPrice")
                flags[name] = {"triggerPrice": self.price_to_precision(symbol, trigger)}
        return flags

    def taken_order(self, request, answer, market):
        """An order that was accepted, as far as it is known."""
        return self.parse_order({**request, "status": "PENDING", **answer}, market)

    def parse_order(self, order, market=None):
        """An order as REST and the socket show it."""
        market = self.safe_market(self.safe_string(order, "marketId"), market)
        kind, created = self.safe_string(order, "type", ""), self.parse8601(self.safe_string(order, "createdAt"))
        trigger = self.safe_string(order, "triggerPrice")
        is_stop, is_profit = kind.startswith("STOP"), kind.startswith("TAKE_PROFIT")
        return self.safe_order(
            {
                "info": order,
                "id": self.safe_string(order, "orderId"),
                "clientOrderId": self.safe_string(order, "clientOrderId"),
                "timestamp": created,
                "datetime": self.iso8601(created),
                "lastTradeTimestamp": None,
                "lastUpdateTimestamp": self.parse8601(self.safe_string(order, "updatedAt")),
                "symbol": market["symbol"],
                "type": None if not kind else ("market" if kind.endswith("MARKET") else "limit"),
                "timeInForce": self.safe_string(order, "timeInForce"),
                "postOnly": self.safe_bool(order, "postOnly", False),
                "reduceOnly": self.safe_bool(order, "reduceOnly", False),
                "side": self.safe_string_lower(order, "side"),
                "price": self.safe_string(order, "price"),
                "triggerPrice": trigger,
                "stopLossPrice": trigger if is_stop and order.get("reduceOnly") else None,
                "takeProfitPrice": trigger if is_profit and order.get("reduceOnly") else None,
                "amount": self.safe_string(order, "quantity"),
                "filled": self.safe_string(order, "filledQuantity"),
                "remaining": self.safe_string(order, "remainingQuantity"),
                "average": self.safe_string(order, "averagePrice"),
                "status": self.safe_string(STATUSES, self.safe_string(order, "status")),
                "fee": None,
                "trades": None,
            },
            market,
        )
