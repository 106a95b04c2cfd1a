"""An owner that makes no progress ends its process; one that is slow, waits for a part that is down, or is idle, does not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from agents.fills.app import publisher_unit
from agents.fills.worker import Publisher
from agents.matching.app import engine_unit
from agents.matching.worker import Matcher
from agents.pending_work import has_commands
from agents.projection.app import projection_unit
from agents.projection.worker import Projector
from agents.relay import Relay
from agents.worker import stall_watchdog
from agents.worker.fail_stop import EXIT_WRONG
from agents.worker.faust_app import faust_app
from agents.worker.ownership import give_up, working
from agents.worker.stall_watchdog import OwnerStalled, StallWatchdog
from store.markets.halts import halt
from store.session.connect import StoreUnavailable
from store.session.presence import Task, Work
from tables.book_table import declare_book_table
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.agents.test_engine_faults import exit_code
from tests.conftest import Broker
from tests.eventually import eventually

TASK = Task(Work.ENGINE, "STILL-PERP")
LOOK_S = 0.001
PATIENCE_LOOKS = 30
ENOUGH_LOOKS = 5 * PATIENCE_LOOKS


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A check every millisecond, so that patience is a number of checks; separate processes check once a second."""
    monkeypatch.setattr(stall_watchdog, "LOOK_EVERY_S", LOOK_S)
    with working(TASK):
        yield


async def yes() -> bool:
    """The log waits."""
    return True


async def no() -> bool:
    """Nothing waits."""
    return False


async def unavailable() -> bool:
    """PostgreSQL cannot be asked."""
    raise StoreUnavailable(outcome_is_unknown=False)


async def is_left_alone(advance: Callable[[], object], has_work: Callable[[], Awaitable[bool]]) -> bool:
    """Whether many checks pass without an error."""
    watch = asyncio.create_task(StallWatchdog(TASK, PATIENCE_LOOKS * LOOK_S, advance, has_work).watch())
    done, _ = await asyncio.wait({watch}, timeout=ENOUGH_LOOKS * LOOK_S * 3)
    watch.cancel()
    return not done


async def test_an_owner_that_does_not_advance_is_stalled() -> None:
    """Its log waits and nothing of it has moved for all those looks."""
    with pytest.raises(OwnerStalled):
        await StallWatchdog(TASK, PATIENCE_LOOKS * LOOK_S, lambda: 7, yes).watch()


async def test_an_owner_that_advances_is_left_alone_however_slow() -> None:
    """One step in half the patience is enough, forever."""
    looks = count()
    assert await is_left_alone(lambda: next(looks) // (PATIENCE_LOOKS // 2), yes)


@pytest.mark.parametrize("has_work", [no, unavailable])
async def test_an_owner_that_is_idle_or_waits_for_a_part_is_left_alone(
    has_work: Callable[[], Awaitable[bool]],
) -> None:
    """An idle market and an outage look alike from inside, and neither is a standstill."""
    assert await is_left_alone(lambda: 7, has_work)


async def test_a_standby_is_left_alone() -> None:
    """It owns nothing, so nothing waits for it."""
    give_up(TASK)
    assert await is_left_alone(lambda: 7, yes)


@asynccontextmanager
async def left_over(stream: Stream) -> AsyncIterator[None]:
    """A market whose engine has gone after half of its orders, among workers of little patience."""
    stream.settings = replace(stream.settings, standstill_s=3.0)
    async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
        async with hosted(engine_unit(stream.market, stream.settings)):
            await stream.trade(40)
            await stream.drained()
        await stream.trade(40)
        yield


@pytest.mark.parametrize("hindrance", ["freeze", pytest.param("hang", marks=pytest.mark.chaos)])
async def test_an_owner_whose_recovery_hangs_makes_room_for_the_next(
    broker: Broker, database: str, tmp_path: Path, hindrance: str
) -> None:
    """It is the owner and heartbeats, but never recovers: it ends, and the next owner matches all that waited."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with left_over(stream):
            hindered = stream.spawn("engine", hindrance)
            assert await eventually(lambda: exit_code(hindered)) == EXIT_WRONG
            assert "owns the market and has not advanced" in stream.log_of(hindered)
            stream.spawn("engine")
            assert (await stream.drained()).command_seq == 81
        one_hash_each(await stream.records())


async def test_a_recovery_that_ends_by_itself_ends_the_process(broker: Broker, database: str, tmp_path: Path) -> None:
    """Otherwise it would be an owner in name only; the watchdog's patience need not run out."""
    async with stream_on(broker, database, tmp_path) as stream:
        deaf = stream.spawn("engine", "leak")
        assert await eventually(lambda: exit_code(deaf)) == EXIT_WRONG


async def test_a_recovery_that_advances_slowly_is_not_ended(broker: Broker, database: str, tmp_path: Path) -> None:
    """It takes longer than the patience, a step at a time; then the market continues with the same process."""
    async with stream_on(broker, database, tmp_path) as stream, left_over(stream):
        slow = stream.spawn("engine", "slow")
        assert (await stream.drained()).command_seq == 81
        assert exit_code(slow) is None


async def test_each_worker_knows_whether_its_log_waits(broker: Broker, database: str, tmp_path: Path) -> None:
    """Unmatched work is the engine's, unpersisted the projection's, unpublished the publisher's."""
    async with stream_on(broker, database, tmp_path) as stream:
        market, settings = stream.market, stream.settings
        table = declare_book_table(faust_app("engine-of-a-test", settings), market)
        matcher, projector = Matcher(market, settings, table), Projector(market, settings)
        publisher = Publisher(market, settings)
        async with hosted(Relay(market, settings)):
            await stream.trade(200)
            engine = stream.spawn("engine")
            assert await eventually(projector.has_work)
            async with hosted(projection_unit(market, settings)):
                await stream.drained()
                assert not await projector.has_work()
                assert await publisher.has_work()
                async with hosted(publisher_unit(market, settings)):
                    await eventually(lambda: is_not(publisher.has_work))
            engine.terminate()
        assert await matcher.has_work()  # its recovery
        await halt(stream.session, market, "for a test")
        assert not await matcher.has_work()
        assert not await has_commands(market, settings, None)


async def is_not(fact: Callable[[], Awaitable[bool]]) -> bool:
    """Its opposite."""
    return not await fact()
