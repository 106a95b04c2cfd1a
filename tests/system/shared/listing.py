"""Markets that a test has for itself on the shared exchange: their books are empty, and they may end."""

import json

from bench.exchange_process import ExchangeProcess

LIKE_BTC = {"tickSize": "0.1", "lotSize": "0.001", "maxQuantity": "1000", "referencePrice": "60000"}
LIKE_ETH = {"tickSize": "0.01", "lotSize": "0.01", "maxQuantity": "10000", "referencePrice": "3000"}


async def add_market(exchange: ExchangeProcess, market: str, parameters: dict[str, str]) -> tuple[int, str]:
    """List it as an operator does; exit code and output."""
    file = exchange.data.with_name(f"{market}.json")
    file.write_text(json.dumps({"id": market, **parameters}))
    return await exchange.command("market", "add", str(file))
