"""The cursor of a private channel: up to which event of each market everything was sent. Opaque to clients.

`1.91.1800000000000000-3.7.1800000000000000`: market 1 up to event 91, whose time is given in microseconds, market 3 up to event 7. A
market that is not in it is one in which the account had never placed an order: of that everything is new.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from api.errors import Refusal
from schemas.refusals import ErrorCode

_EMPTY = "0"
_CURSOR = re.compile(r"[1-9]\d{0,8}\.\d{1,18}\.\d{1,18}(?:-[1-9]\d{0,8}\.\d{1,18}\.\d{1,18}){0,4999}")


class Place(NamedTuple):
    """An event of a market, and its time. No later event is much older: clocks are compared (docs/design.md)."""

    seq: int
    at: int


NOWHERE = Place(0, 0)
Places = Mapping[int, Place]
"""By the number of the market."""


def cursor_of(places: Places) -> str:
    """The cursor of these places."""
    return "-".join(f"{market}.{place.seq}.{place.at}" for market, place in sorted(places.items())) or _EMPTY


def places_of(cursor: str) -> dict[int, Place]:
    """The places of a cursor; refuses with INVALID_REQUEST what is none."""
    if cursor == _EMPTY:
        return {}
    if _CURSOR.fullmatch(cursor) is None:
        raise Refusal(
            ErrorCode.INVALID_REQUEST, "from must be the cursor of a message of this channel", {"field": "from"}
        )
    numbers = ([int(number) for number in each.split(".")] for each in cursor.split("-"))
    return {market: Place(seq, at) for market, seq, at in numbers}
