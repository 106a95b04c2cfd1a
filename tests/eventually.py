"""Waiting for a fact instead of sleeping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

T = TypeVar("T")
WITHIN_S = 60.0
"""Generous, because a busy machine is slow: only a failure waits as long."""


async def eventually(fact: Callable[[], T | Awaitable[T]], within_s: float = WITHIN_S, every_s: float = 0.02) -> T:
    """Ask until the answer is true, and return it; AssertionError with the last answer when time is up."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        answer = fact()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"not true within {within_s} s; last answer: {answer!r}"
        await asyncio.sleep(every_s)


async def until_alive(url: str, within_s: float = WITHIN_S) -> None:
    """Wait until an API answers at this URL that it is alive."""

    async def is_alive() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/livez") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await eventually(is_alive, within_s)
