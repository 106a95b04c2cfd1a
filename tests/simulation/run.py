"""One run: a fault phase of a number of steps, then a calm phase in which everything must finish, then every check."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.checks import differences, ended_by_timers, final_state, forced_actions
from tests.simulation.conditional_statements import waits_for_margin
from tests.simulation.limits import Limits
from tests.simulation.liquidator import Gaps
from tests.simulation.system import SHARDS, System
from tests.simulation.traders import Traders
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.watch import Watch
from tests.simulation.wiring import wired
from tests.simulation.world import World

OWNERS = ("engine-1", "engine-1", "engine-2", "engine-2", "projection-1", "projection-2", "activator-1")
STEP_S = 0.06
CALM_MAX_S = 60.0
CALM_ROUND_S = 0.6
LEFT_AT_FAULT = 0.15
STEPS = 60


class Outcome(NamedTuple):
    """The result of a run."""

    seed: int
    violations: list[str]
    trace_hash: str
    counts: Counter[str]
    crashes: Counter[str]
    stops: Counter[str]
    lines: list[str] | None


def simulate(seed: int, steps: int = STEPS, *, is_verbose: bool = False) -> Outcome:
    """Run a seed; the same seed and steps give the same trace, bit for bit."""
    loop = VirtualLoop()
    world = World(seed, loop, is_verbose=is_verbose)
    system = System(world)
    disabled, _ = logging.root.manager.disable, logging.disable(logging.CRITICAL)
    try:
        with wired(world, system.broker, system.database):
            try:
                loop.run_until_complete(loop.create_task(_play(world, system, steps), context=world.context))
            finally:
                trace_hash, world.is_over = world.trace_hash, True
                loop.end_all()
    finally:
        logging.disable(disabled)
        loop.close()
    return Outcome(seed, world.violations, trace_hash, world.counts, world.crashes, world.stops, world.lines)


async def _play(world: World, system: System, steps: int) -> None:
    traders, gaps, watch = Traders(world, system), Gaps(world, system), Watch(world, system)
    limits = Limits(world, system)
    system.start_all()
    for _ in range(steps):
        await asyncio.sleep(world.dice.uniform(0.0, 2 * STEP_S))
        traders.act()
        gaps.act()
        limits.act()
        _disturb(world, system)
        if world.violations:
            return
    if await _calm_down(world, system, traders, gaps):
        for difference in differences(system, watch, traders):
            world.violated(difference)
        world.counts += forced_actions(system.database.tables) + ended_by_timers(system.database.tables)
    else:
        world.violated("not everything has finished in the calm")


def _disturb(world: World, system: System) -> None:
    """The faults that are not tied to a message."""
    _disturb_processes(world, system)
    _disturb_shards(world, system)
    _disturb_logs(world, system)


def _disturb_processes(world: World, system: System) -> None:
    if system.running and world.happens(25):
        system.kill(world.dice.choice(sorted(system.running)))
    if world.happens(30):
        system.freeze(world.dice.choice(OWNERS), world.dice.uniform(0.2, 2.5))
    if world.happens(60):
        system.stop_gracefully(world.dice.choice(OWNERS))


def _disturb_shards(world: World, system: System) -> None:
    if world.happens(25):
        system.place(world.dice.choice(system.markets), world.dice.choice(SHARDS))
    if system.broker.groups and world.happens(40):
        system.evict(world.dice.choice(list(system.broker.groups.values())))
    if system.broker.groups and world.happens(60):
        system.rebalance(world.dice.choice(list(system.broker.groups.values())))
    if world.happens(80) and not system.is_rebuilding:
        system.take_away(world.dice.choice(system.markets), world.dice.uniform(0.3, 2.0))


def _disturb_logs(world: World, system: System) -> None:
    if world.happens(50):
        system.cut_log()
    if world.happens(60):
        system.cut_log_after_recovery()
    if world.happens(60):
        system.cut_database(world.dice.uniform(0.05, 1.5))
    if world.happens(60):
        system.cut_broker(world.dice.uniform(0.05, 1.5))
    if world.happens(120) and not system.is_rebuilding:
        system.lose_broker()


async def _calm_down(world: World, system: System, traders: Traders, gaps: Gaps) -> bool:
    """No fault any more; whether everything has finished in time. In some seeds, all other markets first: one is at fault yet."""
    world.is_calm = True
    world.note("calm")
    at_fault = world.dice.choice(system.markets)
    if world.dice.random() < LEFT_AT_FAULT and not system.is_rebuilding:  # a rebuild needs all topics
        world.counts["markets at fault in the calm"] += 1
        system.take_away(at_fault, CALM_MAX_S)
        others = [market for market in system.markets if market != at_fault]
        if not await _has_finished(world, traders, lambda: _is_finished(system, traders, others)):
            world.note(f"{others} have not finished while {at_fault} is at fault")
            return False
        system.broker.bring_back(at_fault)

    def is_finished() -> bool:
        return gaps.is_finished and _is_finished(system, traders, system.markets)

    return await _has_finished(world, traders, is_finished, gaps.finish)


async def _has_finished(
    world: World, traders: Traders, is_finished: Callable[[], bool], go_on: Callable[[], None] = lambda: None
) -> bool:
    for _ in range(int(CALM_MAX_S / CALM_ROUND_S)):
        traders.settle()
        go_on()
        traders.barrier()
        await asyncio.sleep(CALM_ROUND_S)
        if world.violations or is_finished():
            return True
    return False


def _is_finished(system: System, traders: Traders, markets: list[str]) -> bool:
    """Every client is answered, and in these markets every command is persisted, and every engine has the state it must have."""
    tables = system.database.tables
    if not all(attempt.is_settled for attempt in traders.attempts):
        return False
    if any(waits_for_margin(order) for order in tables.orders.values()):
        return False
    if any(tables.named(market).progress.command_seq != tables.named(market).counter for market in markets):
        return False
    return all(system.market_state(market) == final_state(tables.named(market)) for market in markets)
