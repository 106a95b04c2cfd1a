"""What the measures need, as small as it can be."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.exchange_process import ExchangeProcess
from bench.servers import bare_server
from bench.whole import whole_exchange


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small_tree(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    """A whole exchange."""
    async with whole_exchange(tmp_path_factory.mktemp("bench")) as exchange:
        yield exchange


@pytest_asyncio.fixture
async def bare_port(tmp_path: Path) -> AsyncIterator[int]:
    """A bare aiohttp server."""
    async with bare_server(tmp_path, "plain") as port:
        yield port
