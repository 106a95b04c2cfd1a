"""One listening API a test, on a fresh database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.exchange import Exchange


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """The REST API, the seed markets, no registered users."""
    listening = await Exchange(database).start()
    yield listening
    await listening.stop()
