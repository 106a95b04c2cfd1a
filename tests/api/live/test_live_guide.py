"""docs/live.md shows what the exchange sends."""

import os

from api.routes.live import OPERATIONS
from tests.api.exchange import Exchange
from tests.api.live.client import Live
from tests.api.live.live_guide import GUIDE, frames_in, played, timeless

TEXT = GUIDE.read_text()


async def _the_engine_runs(exchange: Exchange) -> None:
    await exchange.run_engine()


STAGES = {"the engine runs": _the_engine_runs}


async def test_every_frame_in_the_guide_is_the_exchanges_own(exchange: Exchange) -> None:
    """Sent in order, each request is answered as it is shown; only times, cursors and ids of requests may differ.

    After an intended change: `WRITE_GUIDE=1 pytest tests/api/live/test_live_guide.py` writes the current answers.
    """
    alice = await exchange.user()
    live = await Live.open(exchange)
    text = await played(exchange, live, TEXT, {"ALICE": alice.token or ""}, STAGES)
    if os.environ.get("WRITE_GUIDE"):
        GUIDE.write_text(text)
    assert timeless(text).splitlines() == timeless(TEXT).splitlines()


def test_every_operation_is_in_the_guide() -> None:
    """As a request, and in the table."""
    assert {frame["op"] for frame in frames_in(TEXT)} >= set(OPERATIONS)
    for op in OPERATIONS:
        assert f"| `{op}` |" in TEXT
