"""Everything of the exchange class that sends no request: the sync and the async class share it."""

from typing import Any

from perpetua_ccxt.account import Account
from perpetua_ccxt.calls import LIMIT_MAX, Calls
from perpetua_ccxt.description import description
from perpetua_ccxt.markets import Markets
from perpetua_ccxt.orders import ENDED, OPEN, Orders


class Parsing(Calls, Orders, Markets, Account):
    """Mixed into ccxt's Exchange, whose helpers it uses."""

    def describe(self) -> Any:
        """What ccxt is told."""
        return self.deep_extend(super().describe(), description())


__all__ = ["ENDED", "LIMIT_MAX", "OPEN", "Parsing"]
