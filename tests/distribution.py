"""In which order tests run, and which share a worker of a parallel run.

Tests of the shared exchange run one after the other on one worker, so it is started once and ended after the last of
them. Whatever starts processes comes first: what is left in the end is short, and no worker waits for another. A file
stays on one worker, except that each test of tests/system has an exchange of its own and runs anywhere.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_EXCHANGE = "any_exchange"
"""The fixture whose tests share a worker."""
STREAM = {"broker", "empty_broker"}
WHOLE_EXCHANGES = {"system", "crash_day", "bench"}
OWN_SERVERS = {"local", "simulation"}
LONG = {"tests/api/test_contract.py", "tests/store/test_conservation.py", "tests/store/test_crash_in_small.py"}
"""Files that need no more than others, and take long."""


def uses_shared_exchange(item: pytest.Item) -> bool:
    """Whether a test runs on the exchange that tests share."""
    return SHARED_EXCHANGE in getattr(item, "fixturenames", ())


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort by what tests need, the most expensive first; those that need the same stay in their order."""
    for item in filter(uses_shared_exchange, items):
        item.add_marker(pytest.mark.xdist_group(SHARED_EXCHANGE))
    ranks: dict[str, int] = {}
    for item in items:
        ranks[_unit(item)] = min(_rank(item), ranks.get(_unit(item), _rank(item)))
    items.sort(key=lambda item: ranks[_unit(item)])


class Distribution(LoadFileScheduling):
    """Sends units of tests to workers in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return self.unit_of(nodeid)

    @staticmethod
    def unit_of(nodeid: str) -> str:
        """The unit that a test is sent with."""
        path, _, test = nodeid.partition("::")
        if test.endswith(f"@{SHARED_EXCHANGE}"):
            return SHARED_EXCHANGE
        return nodeid if path.startswith("tests/system/") else path


def _unit(item: pytest.Item) -> str:
    return SHARED_EXCHANGE if uses_shared_exchange(item) else item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    """0 is first."""
    fixtures, path = set(getattr(item, "fixturenames", ())), item.nodeid.partition("::")[0]
    room = path.split("/")[1]
    if SHARED_EXCHANGE in fixtures:
        return 0
    if room in WHOLE_EXCHANGES or path in LONG:
        return 1
    if fixtures & STREAM or room in OWN_SERVERS:
        return 2
    return 3 if "postgres_dsn" in fixtures else 4
