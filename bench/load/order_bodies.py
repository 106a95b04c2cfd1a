"""Bodies of POST /orders, and of amends, as bytes."""

import itertools
import json
from collections.abc import Iterator

from bench.load.generator import REFERENCE, Reference, orders


def random_orders(seed: int, count: int, reference: Reference = REFERENCE) -> list[bytes]:
    """Small limit orders around the reference prices of these markets; about half of them trade."""
    return [_encoded(order) for order in itertools.islice(orders(seed, reference), count)]


def random_amends(market: str) -> Iterator[bytes]:
    """Bodies of PUT /orders/{orderId} for orders of `random_orders`: a quantity that none of them has, another price."""
    for order in orders(len(market), {market: REFERENCE[market]}):
        yield _encoded({"quantity": REFERENCE[market][2].format(9), "price": order["price"]})


def walls() -> list[bytes]:
    """Two resting orders of 1,000 BTC on both sides of 60,000: all that takers can wish for."""
    return [_encoded(_btc("SELL", "1000", "60000.1")), _encoded(_btc("BUY", "1000", "59999.9"))]


def takers() -> list[bytes]:
    """A smallest order that hits one wall, and one that hits the other."""
    return [_encoded(_btc("BUY", "0.001", "60000.1")), _encoded(_btc("SELL", "0.001", "59999.9"))]


def _btc(side: str, quantity: str, price: str) -> dict[str, str]:
    return {"marketId": "BTC-PERP", "side": side, "type": "LIMIT", "quantity": quantity, "price": price}


def _encoded(order: dict[str, str]) -> bytes:
    return json.dumps(order, separators=(",", ":")).encode()
