"""The checkers are checked: a bug put into every process of a running exchange is found by the test it concerns."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bench.exchange_process import ExchangeProcess
from store.crash_points import CrashPoint
from tests.system.conftest import Measured, Start
from tests.system.faults import dead, hanging, hold
from tests.system.mutations import environment_with
from tests.system.shared import (
    test_crash_points,
    test_hand_over,
    test_outages,
    test_random_kills,
    test_retries,
    test_stop,
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

Exercise = Callable[[Start, Measured], Awaitable[None]]

FOUND_BY: dict[str, tuple[Exercise, str]] = {
    "an owner starts a record too late": (
        lambda give, measured: test_hand_over.test_a_market_changes_hands_and_every_event_is_written_once(
            give, 12, 8, measured
        ),
        "missing in the log",
    ),
    "a snapshot names a later record than it covers": (
        lambda give, _: test_crash_points.test_every_crash_point_is_hit_and_nothing_is_lost(give),
        "missing in the log",
    ),
    "every snapshot has the same keys": (
        lambda give, measured: test_hand_over.test_a_market_changes_hands_and_every_event_is_written_once(
            give, 2, 2, measured
        ),
        "another content",
    ),
    "orders are answered before they are durable": (
        lambda give, measured: test_random_kills.test_parts_killed_at_random_lose_nothing(give, 2, measured),
        "",
    ),
    "client ids are not looked up": (
        lambda give, measured: test_retries.test_orders_repeated_after_cut_replies_are_stored_once(give, 200, measured),
        "",
    ),
    "orders are accepted however old the backlog": (
        lambda give, measured: test_outages.test_a_broker_that_is_down_delays_orders_and_loses_none(
            give, dead, 15, measured
        ),
        "not true within",
    ),
    "the API waits for a database that hangs": (
        lambda give, measured: test_outages.test_a_database_that_is_down_is_answered_in_time_and_heals(
            give, hanging, 10, measured
        ),
        "",
    ),
    "the API stops without a word": (
        lambda give, measured: test_stop.test_the_tree_stops_in_order_under_load(give, 1, 20.0, measured),
        "stopping",
    ),
}
"""{the bug: (the test that must fail, a word of what it then says)}"""


@pytest_asyncio.fixture
async def give_faulty(tmp_path: Path, fault: str) -> AsyncIterator[Start]:
    """Gives a running exchange with the bug, its crash points armed and held."""
    data = tmp_path / "data"
    for point in CrashPoint:
        hold(data, point)
    armed = {"CRASH_AT": ",".join(CrashPoint)}
    exchange = ExchangeProcess(data, environment={**armed, **environment_with(fault)})
    await exchange.start()

    async def give() -> ExchangeProcess:
        return exchange

    yield give
    await exchange.stop()


@pytest.mark.parametrize("fault", FOUND_BY)
async def test_a_bug_put_in_on_purpose_is_found(fault: str, give_faulty: Start, measured: Measured) -> None:
    """By the same test that passes without it."""
    exercise, word = FOUND_BY[fault]
    with pytest.raises((AssertionError, TimeoutError), match=word):
        await exercise(give_faulty, measured)
