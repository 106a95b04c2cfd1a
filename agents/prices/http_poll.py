"""Polling a public venue: a JSON document over HTTP, and in it the price by a JSON pointer (RFC 6901).

The answer is untrusted: its size is limited, redirects and compression are not followed, and numbers are kept as text,
never as floats. What is not a price by the rules of `parse_price` is dropped and logged.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import aiohttp

from agents.prices.source import Observation, parse_price
from schemas.units import Nanos
from store.session.checked_clock import machine_time

ANSWER_BYTES_MAX = 64 * 1024
POINTER_PARTS_MAX = 16
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "perpetua-prices"}

log = logging.getLogger(__name__)


class NoPrice(Exception):
    """The venue's answer holds no price; `why` is for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class HttpPoll:
    """Polls a URL for a price."""

    def __init__(
        self, name: str, market: str, url: str, pointer: str, *, every_ms: int = 1_000, timeout_ms: int = 2_000
    ) -> None:
        self.name = name
        self.market = market
        self._url = url
        self._pointer = pointer
        self._every_s = every_ms / 1_000
        self._timeout = aiohttp.ClientTimeout(total=timeout_ms / 1_000)

    async def prices(self) -> AsyncIterator[Observation]:
        """The price in each answer, observed when the request was sent: a slow answer is as old as its request."""
        async with aiohttp.ClientSession(timeout=self._timeout, headers=HEADERS, auto_decompress=False) as session:
            while True:
                asked_at = machine_time()
                try:
                    yield Observation(asked_at, await self._ask(session))
                except (NoPrice, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                    log.warning("%s of %s has no price: %.200r", self.name, self.market, error)
                await asyncio.sleep(self._every_s)

    async def _ask(self, session: aiohttp.ClientSession) -> Nanos:
        async with session.get(self._url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise NoPrice(f"status {answer.status}")
            return price_in(await _bounded_body(answer), self._pointer)


async def _bounded_body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for block in answer.content.iter_chunked(8_192):
        body += block
        if len(body) > ANSWER_BYTES_MAX:
            raise NoPrice(f"more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def price_in(body: bytes, pointer: str) -> Nanos:
    """The price at `pointer` of a JSON document; raises NoPrice."""
    try:
        document = json.loads(body.decode(), parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # invalid UTF-8 is a ValueError too
        raise NoPrice("not JSON") from error
    found = _at(document, pointer)
    price = parse_price(found) if isinstance(found, str) else None
    if price is None:
        raise NoPrice(f"not a price: {str(found)[:80]!r}")
    return price


def is_pointer(text: str) -> bool:
    """Whether it is a JSON pointer into a document."""
    return text.startswith("/") and text.count("/") <= POINTER_PARTS_MAX


def _at(document: Any, pointer: str) -> object:
    found = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(found):
            found = found[int(key)]
        else:
            raise NoPrice(f"nothing at {pointer}")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are not JSON
