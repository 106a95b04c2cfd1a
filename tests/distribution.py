"""In which order tests run, and which share a worker of a parallel run.

Tests of the shared exchange are in a folder of their own and run one after the other on one worker, so it is started once
and ended after the last of them. Any other file stays on one worker. Whatever starts processes comes first: what is left in
the end is short, and no worker waits for another.

The folder says which tests these are, no mark: which worker runs a test is decided by its id alone.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_EXCHANGE = "tests/system/shared"
"""The folder of the tests that use the fixture `any_exchange`."""
WEB = "tests/web"
"""The folder of the tests in a browser, which share an exchange of their own."""
STREAM = {"broker", "empty_broker"}
WHOLE_EXCHANGES = {"system", "crash_day", "bench", "web"}
OWN_SERVERS = {"local", "simulation"}
LONG = {"tests/api/test_contract.py", "tests/store/test_conservation.py", "tests/store/test_crash_in_small.py"}
"""Files that need no more than others, and take long."""


def unit_of(nodeid: str) -> str:
    """The unit that a test is sent with to a worker."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in (SHARED_EXCHANGE, WEB) if path.startswith(f"{folder}/")), path)


def uses_shared_exchange(item: pytest.Item) -> bool:
    """Whether a test runs on the exchange that tests share."""
    return unit_of(item.nodeid) == SHARED_EXCHANGE


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort by what tests need, the most expensive first; those that need the same stay in their order."""
    ranks: dict[str, int] = {}
    for item in items:
        unit, rank = unit_of(item.nodeid), _rank(item)
        ranks[unit] = min(rank, ranks.get(unit, rank))
    items.sort(key=lambda item: ranks[unit_of(item.nodeid)])


class Distribution(LoadFileScheduling):
    """Sends units of tests to workers in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def _rank(item: pytest.Item) -> int:
    """0 is first."""
    fixtures, path = set(getattr(item, "fixturenames", ())), item.nodeid.partition("::")[0]
    room = path.split("/")[1]
    if uses_shared_exchange(item):
        return 0
    if room in WHOLE_EXCHANGES or path in LONG:
        return 1
    if fixtures & STREAM or room in OWN_SERVERS:
        return 2
    return 3 if "postgres_dsn" in fixtures else 4
