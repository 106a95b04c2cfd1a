"""How the fake of PostgreSQL runs a statement on its tables."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.tables import Tables


class Result(NamedTuple):
    """The rows that come back, what is written at the commit, and the markets whose relays are notified then."""

    rows: list[Any]
    effect: Callable[[], None] | None = None
    notified: tuple[str, ...] = ()


class Statement(NamedTuple):
    """How a statement runs; `locks`: it waits for the writer before it."""

    name: str
    run: Callable[[Tables, tuple[Any, ...]], Result]
    locks: bool = False
