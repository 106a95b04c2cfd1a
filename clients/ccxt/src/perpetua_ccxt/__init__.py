"""The Perpetua exchange for ccxt: `register()`, then `ccxt.perpetua`, `ccxt.async_support.perpetua` and `ccxt.pro.perpetua`."""

import ccxt
import ccxt.async_support
import ccxt.pro

from perpetua_ccxt import pro, rest_async, rest_sync
from perpetua_ccxt.description import CLAIMED

NAME = "perpetua"


def register() -> None:
    """Add the exchange to ccxt, where bots look exchanges up by name."""
    for module, kind in (
        (ccxt, rest_sync.perpetua),
        (ccxt.async_support, rest_async.perpetua),
        (ccxt.pro, pro.perpetua),
    ):
        setattr(module, NAME, kind)
        if NAME not in module.exchanges:
            module.exchanges.append(NAME)


__all__ = ["CLAIMED", "NAME", "pro", "register", "rest_async", "rest_sync"]
