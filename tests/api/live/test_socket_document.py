"""The AsyncAPI document of the socket is true: every frame of the guide, and every operation, is one that it describes."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.documents.asyncapi import event_document
from api.routes.live import OPERATIONS
from tests.api.live.live_guide import GUIDE, frames_in

DOCUMENT = event_document()
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def kinds_of(op: str) -> list[str]:
    """The messages with this `op`: the public and the private `subscribed` are two."""
    return [name for name, message in MESSAGES.items() if message["name"] == op]


def _fits(name: str, frame: dict[str, Any]) -> bool:
    schema = {**MESSAGES[name]["payload"], "components": DOCUMENT["components"]}
    return not list(Draft202012Validator(schema).iter_errors(frame))


@pytest.mark.parametrize(
    "frame", frames_in(GUIDE.read_text(), "live", "account", "market"), ids=lambda frame: frame["op"]
)
def test_every_frame_of_the_guide_is_described(frame: dict[str, Any]) -> None:
    """By exactly one message; but the example of an unknown `op`."""
    assert [name for name in kinds_of(frame["op"]) if _fits(name, frame)] or frame["op"] == "dance"


def test_every_operation_is_described_and_no_other() -> None:
    """As what the exchange receives."""
    received = DOCUMENT["operations"]["receiveRequest"]["messages"]
    assert {MESSAGES[each["$ref"].rpartition("/")[2]]["name"] for each in received} == set(OPERATIONS)


def test_a_frame_that_lacks_its_op_is_none() -> None:
    """The tag is required, and says which message it is."""
    assert _fits("Ping", {"op": "ping"})
    assert not _fits("Ping", {})
    assert not _fits("Ping", {"op": "pong"})
    assert not _fits("PlaceOrder", {"op": "order.place", "marketId": "BTC-PERP"})
