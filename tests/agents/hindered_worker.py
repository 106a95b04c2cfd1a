"""A worker whose recovery is hindered on purpose: `python -m tests.agents.hindered_worker HINDRANCE KIND MARKET SETTINGS`."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.consumer.subscription_state import SubscriptionState
from faust.tables.table import Table

import agents.matching.worker
from agents.matching.market_assignment import MarketAssignment
from agents.worker.settings import StreamSettings
from broker.prompt_consumer import PromptConsumer, PromptConsumerThread
from tests.agents.worker_process import main

SLOW_STEP_S = 0.8
DAY_S = 86_400


def hang_in_the_recovery() -> None:
    """The snapshot is read, and the rest of the recovery waits for something that never comes."""

    async def never_start(*_: object) -> MarketAssignment:
        return await asyncio.get_running_loop().create_future()

    agents.matching.worker.begin_assignment = never_start


def freeze_the_fetch() -> None:
    """Nothing of the changelog or the commands ever arrives, while the group is given the impression that all is well."""

    async def fetch_nothing(*_: object, **__: object) -> dict[Any, Any]:
        await asyncio.sleep(0.1)
        return {}

    PromptConsumerThread._fetch_records = fetch_nothing


def slow_down() -> None:
    """Each entry of the changelog, and each step of the recovery after it, takes its time."""

    async def take_time(*_: object) -> None:
        await asyncio.sleep(SLOW_STEP_S)

    start = agents.matching.worker.begin_assignment

    async def start_slowly(
        market: str, settings: StreamSettings, entries: Mapping[bytes, bytes], on_step: Callable[[], None]
    ) -> MarketAssignment:
        for _ in range(6):
            on_step()
            await asyncio.sleep(SLOW_STEP_S)
        return await start(market, settings, entries, on_step)

    Table.on_changelog_event = take_time
    agents.matching.worker.begin_assignment = start_slowly


def leak_a_cancellation() -> None:
    """A call of the recovery lets out a CancelledError without a cancel call, as a library of ours once did."""

    async def leak(*_: object) -> dict[Any, Any]:
        raise asyncio.CancelledError

    PromptConsumer.highwaters = leak


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
