"""Enums of the hot path: their members are plain attributes of the class, and still members."""

from enum import StrEnum

import pytest

from schemas.orders import OrderStatus, Side
from schemas.plain_members import plain_members
from store.money.ledger import House


@pytest.mark.parametrize("kind", [Side, OrderStatus, House])
def test_a_member_is_found_without_a_descriptor(kind: type[Side | OrderStatus | House]) -> None:
    """What the class holds under a member's name is the member itself."""
    for name, member in kind.__members__.items():
        assert vars(kind)[name] is member
        assert getattr(kind, name) is kind(member.value) is kind[name]


def test_members_are_still_closed() -> None:
    """No member can be given another value, and none is added."""

    @plain_members
    class Light(StrEnum):
        RED = "RED"

    with pytest.raises(AttributeError):
        Light.RED = "GREEN"  # type: ignore[misc,assignment]
    assert list(Light) == [Light.RED] == [Light("RED")]
    assert Light.RED.name == "RED"
