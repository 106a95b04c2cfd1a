"""An amend that the engine refuses is told with the order as it is: what REST shows after it, to the last field."""

from typing import Any

import pytest

from api.live.accounts.order_fold import apply
from schemas.events import AmendRefused, CommandFailed, Event
from schemas.orders import AmendRefusal, EndReason, OrderStatus
from tests.api.exchange import Client
from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, frames, live_exchange, subscribed
from tests.conftest import STARTED_AT, Broker

POST_ONLY = {"price": "59000", "postOnly": True}
STOP = {"type": "STOP", "triggerPrice": "60100", "workingType": "LAST", "price": "60200"}


async def _stays(exchange: LiveExchange, alice: Client, bob: Client, order_id: str) -> None:
    await exchange.place(bob, side="SELL", price="60000")
    assert (await alice.call("PUT", f"/orders/{order_id}", {"price": "60000"})).status == 202


async def _has_ended(exchange: LiveExchange, alice: Client, bob: Client, order_id: str) -> None:
    await exchange.place(bob, side="SELL", price="59000")
    assert (await alice.call("PUT", f"/orders/{order_id}", {"price": "59500"})).status == 202


async def _has_triggered(exchange: LiveExchange, alice: Client, bob: Client, order_id: str) -> None:
    await _trade(exchange, alice, bob, "60150")
    assert (await alice.call("PUT", f"/orders/{order_id}", {"price": "60300"})).status == 202


async def _trade(exchange: LiveExchange, alice: Client, bob: Client, price: str) -> None:
    await exchange.place(bob, side="SELL", price=price)
    await exchange.place(alice, price=price)


CASES = {
    "stays": (POST_ONLY, _stays, "POST_ONLY_WOULD_TAKE", "OPEN"),
    "has triggered": (STOP, _has_triggered, "TRIGGERED", "TRIGGERED"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_refused_amend_is_told_with_the_order_as_rest_shows_it(
    broker: Broker, database: str, case: str
) -> None:
    """Also where the amend came too late, which is no change of the order: `updatedAt` is that of the trigger."""
    order, meanwhile, reason, status = CASES[case]
    async with live_exchange(broker, database) as exchange:
        alice, bob, live, order_id = await _placed(exchange, order)
        await meanwhile(exchange, alice, bob, order_id)
        await exchange.step()
        while "amendRefused" not in (told := (await frames(live, 1))[0]):
            pass
        assert (told["amendRefused"], told["data"]["status"]) == (reason, status)
        assert told["data"] == (await alice.get(f"/orders/{order_id}")).body


async def test_an_amend_after_the_end_of_an_order_is_told_no_more(broker: Broker, database: str) -> None:
    """The end was the last change, and the last message of it."""
    async with live_exchange(broker, database) as exchange:
        alice, bob, live, order_id = await _placed(exchange, POST_ONLY)
        await _has_ended(exchange, alice, bob, order_id)
        await exchange.step()
        later = await exchange.place(alice, price="58000")
        await exchange.step()
        filled, next_one = await frames(live, 2)
        assert filled["data"] == (await alice.get(f"/orders/{order_id}")).body
        assert filled["data"]["status"] == "FILLED"
        assert next_one["data"]["orderId"] == later.body["orderId"]


@pytest.mark.parametrize(
    "event",
    [
        AmendRefused(seq=9, command=5, at=STARTED_AT, order=3, user=1, reason=AmendRefusal.ENDED),
        CommandFailed(seq=9, command=5, at=STARTED_AT, order=3, user=1, reason=EndReason.INTERNAL),
    ],
    ids=["refused", "failed"],
)
def test_nothing_changes_an_order_that_has_ended(event: Event) -> None:
    """Also where its end and the amend are in one record."""
    row = {"status": OrderStatus.FILLED, "updated_at": "of the end"}
    assert not apply(row, event, 3)
    assert row == {"status": OrderStatus.FILLED, "updated_at": "of the end"}


async def _placed(exchange: LiveExchange, order: dict[str, Any]) -> tuple[Client, Client, Live, str]:
    """An order of Alice in a market that has traded, and her socket, which follows it."""
    alice, bob = await exchange.user("1000000"), await exchange.user("1000000")
    await _trade(exchange, alice, bob, "60000")
    await exchange.step()
    placed = await exchange.place(alice, **order)
    await exchange.step()
    live = await Live.open(exchange, alice)
    await subscribed(live, "orders")
    return alice, bob, live, placed.body["orderId"]
