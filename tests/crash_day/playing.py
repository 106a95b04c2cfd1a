"""A day on its own database: markets listed, played on one of the two venues."""

import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from schemas.market import RULES_FIRST
from store.markets.registry import list_market, load_registry
from store.session.connect import connect_writer
from store.submission import Submission
from tests.conftest import Broker
from tests.crash_day.day import Day
from tests.crash_day.scenario import Scenario
from tests.venue import direct_venue, stream_venue

_numbers = itertools.count(1)


@asynccontextmanager
async def day_on(
    scenario: Scenario, dsn: str, broker: Broker | None, folder: Path, listed: Mapping[str, str] | None = None
) -> AsyncIterator[Day]:
    """A day that can be played; without a broker its engines run in memory. Its markets have new names unless `listed`.

    It is played by the first rules, as it was recorded.
    """
    session = await connect_writer(dsn, "crash day", command_timeout_s=60.0)  # as the liquidator's
    number = next(_numbers)
    listed = listed or {key: f"{key.upper()}{os.getpid():07}X{number:02}-PERP" for key in scenario.markets}
    for key, name in listed.items():
        await list_market(session, scenario.spec(key, name), scenario.began_at, rules=RULES_FIRST)
    submission = Submission(lambda: connect_writer(dsn, "submission"), await load_registry(session))
    names = list(listed.values())
    place = direct_venue(dsn, names) if broker is None else stream_venue(dsn, broker, folder, names)
    try:
        async with place as venue:
            yield Day(scenario, session, submission, venue, listed)
    finally:
        await submission.close()
        await session.close()
