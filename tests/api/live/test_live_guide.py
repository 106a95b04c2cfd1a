"""docs/live.md shows what the exchange sends about requests and accounts; what it sends about markets is in test_market_guide.py."""

import os

from api.routes.live import OPERATIONS
from tests.api.exchange import Client, Exchange
from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, live_exchange
from tests.api.live.live_guide import GUIDE, Play, Stage, frames_in, timeless
from tests.conftest import Broker

TEXT = GUIDE.read_text()


async def _the_engine_runs(exchange: Exchange) -> None:
    await exchange.run_engine()


async def _compared(play: Play) -> None:
    """After an intended change: `WRITE_GUIDE=1 pytest tests/api/live/test_live_guide.py` writes the current answers."""
    text = await play.played(GUIDE.read_text())
    if os.environ.get("WRITE_GUIDE"):
        GUIDE.write_text(text)
    assert timeless(text).splitlines() == timeless(TEXT).splitlines()


async def test_every_result_in_the_guide_is_the_exchanges_own(exchange: Exchange) -> None:
    """Sent in order, each request is answered as it is shown; only times, cursors and ids of requests may differ."""
    alice = await exchange.user()
    live = await Live.open(exchange)
    stages: dict[str, Stage] = {"the engine runs": _the_engine_runs}
    await _compared(Play("live", exchange, live, {"$ALICE": alice.token or ""}, stages))


async def test_every_message_of_an_account_is_the_exchanges_own(broker: Broker, database: str) -> None:
    """Present state, then what a trade changes."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        live = await Live.open(exchange, alice)
        stages = {
            "Bob sells to Alice": _sales(exchange, alice, bob, quantity="0.3"),
            "Bob sells again": _sales(exchange, None, bob, quantity="0.1"),
        }
        await _compared(Play("account", exchange, live, {"BTC-PERP": exchange.first}, stages))


def _sales(exchange: LiveExchange, buyer: Client | None, seller: Client, quantity: str) -> Stage:
    """Alice bids for twice the quantity, Bob sells it; of his second sale only what comes from the log is shown."""

    async def sale(_: Exchange) -> None:
        if buyer is not None:
            await exchange.place(buyer, quantity="0.5", clientOrderId="mine")
        await exchange.place(seller, side="SELL", quantity=quantity)
        await (exchange.match() if buyer is None else exchange.step())

    return sale


def test_every_operation_is_in_the_guide() -> None:
    """As a request, and in the table."""
    shown = {frame["op"] for frame in frames_in(TEXT, "live", "account", "market")}
    assert shown >= set(OPERATIONS) - {"unsubscribe"}
    for op in OPERATIONS:
        assert f"| `{op}` |" in TEXT
