"""A worker whose recovery is hindered on purpose: `python -m tests.agents.hindered_worker HINDRANCE KIND MARKET SETTINGS`."""

import asyncio
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from aiokafka.consumer.subscription_state import SubscriptionState

import agents.matching.app
import agents.matching.worker
from agents.matching.market_assignment import MarketAssignment
from agents.worker.settings import StreamSettings
from broker.shards.consumer import ShardConsumerThread
from tests.agents.worker_process import main

SLOW_STEP_S = 0.8
DAY_S = 86_400


def hang_in_the_recovery() -> None:
    """The snapshot is read, and the rest of the recovery waits for something that never comes."""

    async def never_start(*_: object) -> MarketAssignment:
        return await asyncio.get_running_loop().create_future()

    agents.matching.worker.begin_assignment = never_start


def freeze_the_fetch() -> None:
    """No command ever arrives, while the group is given the impression that all is well."""

    async def fetch_nothing(*_: object) -> dict[Any, Any]:
        await asyncio.sleep(0.1)
        return {}

    ShardConsumerThread._fetch = fetch_nothing


def slow_down() -> None:
    """Each step of restoring the table, and each step of the recovery after it, takes its time."""
    restore = agents.matching.app.restore_table
    start = agents.matching.worker.begin_assignment

    async def take_time(on_step: Callable[[], None]) -> None:
        for _ in range(3):
            on_step()
            await asyncio.sleep(SLOW_STEP_S)

    async def restore_slowly(
        bootstrap: str, market: str, entries: MutableMapping[bytes, bytes], on_step: Callable[[], None]
    ) -> None:
        await take_time(on_step)
        await restore(bootstrap, market, entries, on_step)

    async def start_slowly(
        market: str, settings: StreamSettings, entries: Mapping[bytes, bytes], on_step: Callable[[], None]
    ) -> MarketAssignment:
        await take_time(on_step)
        return await start(market, settings, entries, on_step)

    agents.matching.app.restore_table = restore_slowly
    agents.matching.worker.begin_assignment = start_slowly


def leak_a_cancellation() -> None:
    """A call of the recovery lets out a CancelledError without a cancel call, as a library of ours once did."""

    async def leak(*_: object) -> None:
        raise asyncio.CancelledError

    agents.matching.app.restore_table = leak


def wait_for_a_day() -> None:
    """It has been assigned nothing for a day, and so has fetched nothing, when the others see it for the first time."""
    start = SubscriptionState.__init__

    def start_a_day_ago(state: Any, *given: Any, **named: Any) -> None:
        start(state, *given, **named)
        state._last_fetch_ended -= DAY_S

    SubscriptionState.__init__ = start_a_day_ago


_HINDRANCES = {
    "leak": leak_a_cancellation,
    "hang": hang_in_the_recovery,
    "freeze": freeze_the_fetch,
    "slow": slow_down,
    "wait": wait_for_a_day,
}

if __name__ == "__main__":
    _HINDRANCES[sys.argv.pop(1)]()
    main()
