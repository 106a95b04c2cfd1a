"""Operator actions for the command line: short PostgreSQL sessions; markets change only through their logs."""

import asyncio
import getpass
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import asyncpg

from agents.fills.record_kinds import R, RecordKind
from agents.worker.database import close_quietly
from app.settings import Settings
from app.unreachable import BrokerSilent
from schemas.market import MarketSpec, spec_faults
from schemas.rest.bodies import Page
from schemas.rest.drains import Drained
from schemas.rest.markets import MarketView
from schemas.rest.operating.acts import Action
from schemas.rest.operating.dead_letters import RetryOutcome
from store.advance import Advance, unseen
from store.audit.audit import Finding, audit
from store.audit.deep_audit import deep_audit
from store.command_log.commands import MarketUnknown
from store.command_log.drain import DrainTimedOut, drain
from store.markets.backlog import read_load
from store.markets.halts import read_halted
from store.markets.placement import place_markets, read_placement
from store.markets.price_sources import IndexSources, read_index_sources
from store.markets.registry import MarketRefused, list_market, load_registry, read_spec
from store.markets.rests import read_rests
from store.markets.spec_changes import SpecChange, check_change, count_brought_below
from store.operators.acts import Act, Operator, record_act
from store.operators.market_acts import MarketCommand
from store.operators.market_acts import command_market as send_command
from store.queries.market_data.markets import list_markets
from store.queries.operations.books import keep_verification
from store.queries.operations.health import AuditRun, read_last_audit
from store.queries.operations.markets import owners_of
from store.queries.operations.progress import PipelineProgress, read_progress
from store.queries.operations.settlement import Settlement, read_settlement
from store.queries.paging import LIMIT_MAX, ListRequest
from store.session.checked_clock import CheckedClock, machine_time
from store.session.connect import Session
from store.session.presence import Work, read_processes
from store.users.users import read_administrators

if TYPE_CHECKING:  # only callers that use the broker load its client
    from agents.rebuild import MovedMarket
    from broker.dead_letters import DeadLetter
    from broker.topic_faults import TopicFault

ANSWER_WITHIN_S = 10.0
DRAIN_WITHIN_S = 30.0
POLL_S = 0.02
T = TypeVar("T")
now = machine_time


async def markets_now(settings: Settings) -> list[MarketView]:
    """Every market as clients see it."""
    async with session_of(settings) as session:
        return await _markets(session)


async def command_market(settings: Settings, market: str, command: MarketCommand, reason: str | None) -> bool:
    """Send a command through a market's log and wait until it is persisted; false when it was not in time. Raises MarketUnknown."""
    async with session_of(settings) as session:
        await _check_clock(session)
        seq = (await send_command(session, shell_operator(), market, command, reason)).seq
        return await _until_passed(session, {market: seq}, ANSWER_WITHIN_S) is not None


async def drain_markets(settings: Settings, market: str | None = None) -> Drained | None:
    """Drain a market, or all of them; None when they were not drained within 30 s. Raises MarketUnknown."""
    async with session_of(settings) as session:
        try:
            return await drain(_OneSession(session), market, now(), DRAIN_WITHIN_S)
        except DrainTimedOut:
            return None


async def records_from(settings: Settings, kind: RecordKind[R], market: str, sequence: int) -> AsyncIterator[R]:
    """The records of a market's topic from a sequence, oldest first, as stored. Raises MarketUnknown."""
    async with session_of(settings) as session:
        if market not in (await load_registry(session)).by_name:
            raise MarketUnknown(market)
        while page := await kind.read(session, market, sequence, LIMIT_MAX):
            for record in page:
                yield record
            sequence = page[-1].sequence + 1


async def all_index_sources(settings: Settings) -> dict[str, IndexSources]:
    """The price sources of each market's index."""
    async with session_of(settings) as session:
        return await read_index_sources(session)


async def index_sources(settings: Settings, market: str) -> IndexSources:
    """The price sources of the market's index. Raises MarketUnknown."""
    known = await all_index_sources(settings)
    if market not in known:
        raise MarketUnknown(market)
    return known[market]


async def settlement_of(settings: Settings, market: str) -> Settlement:
    """What settling the market would do, or did. Raises MarketUnknown."""
    async with session_of(settings) as session:
        found = await read_settlement(session, market)
    if found is None:
        raise MarketUnknown(market)
    return found


async def plan_change(
    settings: Settings, market: str, changed: Callable[[MarketSpec], MarketSpec]
) -> tuple[SpecChange, int]:
    """A change of the market's specification, and how many accounts it would bring below maintenance.

    Raises MarketUnknown, SpecChangeRefused, and what `changed` raises.
    """
    async with session_of(settings) as session:
        try:
            before = await read_spec(session, market)
        except KeyError as error:
            raise MarketUnknown(market) from error
        change = SpecChange(before, changed(before))
        await check_change(session, change)
        async with session.transaction(isolation="repeatable_read", readonly=True):
            return change, await count_brought_below(session, change)


async def check_can_be_listed(settings: Settings, spec: MarketSpec) -> None:
    """Raises MarketRefused for an invalid specification, or a name that is taken."""
    faults = spec_faults(spec)
    async with session_of(settings) as session:
        if spec.market in await read_index_sources(session):
            faults.append("the name is taken")
    if faults:
        raise MarketRefused(spec.market, faults)


async def list_new_market(settings: Settings, spec: MarketSpec) -> bool:
    """List a market and wait until it is persisted; false when no worker processed it in time. Raises MarketRefused."""
    async with session_of(settings) as session:
        await _check_clock(session)
        async with session.transaction():
            at, status = now(), settings.status_of_new_markets
            await list_market(session, spec, at, status)
            act = Act(Action.LIST_MARKET, {}, {"status": status}, market=spec.market)
            await record_act(session, shell_operator(), act, at)
        return await _until_passed(session, {spec.market: 1}, ANSWER_WITHIN_S) is not None


async def administrators(settings: Settings) -> list[dict[str, Any]]:
    """One row per administrator."""
    async with session_of(settings) as session:
        return [{"userId": str(user_id), "email": email} for user_id, email in await read_administrators(session)]


def shell_operator() -> Operator:
    """The operator of a command line: the account of the machine."""
    return Operator(None, f"{_account_name()}@{platform.node()}")


async def record_drain(settings: Settings, market: str | None, drained: Drained | None, reason: str | None) -> None:
    """Record a drain, also one that was not done in time."""
    outcome: dict[str, Any] = {"isDrained": drained is not None}
    if drained is not None:
        outcome |= {"processed": drained.processed, "skipped": drained.skipped}
    await _record(settings, Act(Action.DRAIN, {}, outcome, market=market, reason=reason))


async def record_topic_repair(settings: Settings, repaired: "Collection[TopicFault]", reason: str | None) -> None:
    """Record which settings of topics were repaired; nothing where none was."""
    if repaired:
        before = {f"{fault.topic} {fault.what}": fault.found for fault in repaired}
        after = {f"{fault.topic} {fault.what}": fault.expected for fault in repaired}
        await _record(settings, Act(Action.REPAIR_TOPICS, before, after, reason=reason))


async def record_rebuild(settings: Settings, moved: "Collection[MovedMarket]", reason: str | None) -> None:
    """Record where each market continues on the new broker."""
    after = {each.market: {"epoch": each.epoch, "afterCommand": each.after_command} for each in moved}
    await _record(settings, Act(Action.REBUILD, {}, after, reason=reason))


async def audit_books(settings: Settings, *, is_deep: bool, advance: Advance = unseen) -> list[Finding]:
    """Audit findings; empty when the books balance. `is_deep` also recomputes everything."""
    async with session_of(settings) as session:
        findings = list(await audit(session, advance))
        return findings + await deep_audit(session, advance) if is_deep else findings


async def keep_report(settings: Settings, market: str, report: object, took_ms: int) -> None:
    """Keep what `verify` found, for the console of operators; where a role may not, it says so, and the report is printed all the same."""
    async with session_of(settings) as session:
        try:
            await keep_verification(session, market, report, took_ms, now())
        except asyncpg.InsufficientPrivilegeError:
            print("the report is not kept: this role may not (docs/operate/postgres_roles.sql)", file=sys.stderr)


async def last_audit(settings: Settings) -> AuditRun | None:
    """The last run of the periodic audit; None before the first."""
    async with session_of(settings) as session:
        return await read_last_audit(session)


async def market_states(settings: Settings) -> list[dict[str, Any]]:
    """One row per market: its status, mark and owner, its sequences, and how far the projection lags behind."""
    async with session_of(settings) as session:
        views = await _markets(session)
        progress = await read_progress(session)
        load = await read_load(session, now())
        halted = await read_halted(session)
        rests = await read_rests(session)
        shards = await read_placement(session)
        owners = owners_of(await read_processes(session))
    return [
        {
            "market": view.id,
            "status": view.status,
            "rules": view.rules,
            "mark": view.mark_price,
            "owner": owners.get((Work.ENGINE, view.id)),
            "shard": shards[view.id].shard if view.id in shards else None,
            "commands": progress[view.id].command_seq,
            "events": progress[view.id].event_seq,
            "behind": load[view.id].backlog,
            "behind_s": round(load[view.id].oldest_age_s, 3),
            "halted": halted.get(view.id),
            "rests": rests.get(view.id),
        }
        for view in views
    ]


async def place(settings: Settings, markets: Collection[str], shard: str | None) -> Mapping[str, str]:
    """Place these markets in a shard, or each in one of its own; where they are now. Raises MarketUnknown, BadShard."""
    async with session_of(settings) as session, session.transaction():
        before = await read_placement(session)
        placed = await place_markets(session, markets, shard)
        for market, where in placed.items():
            act = Act(Action.PLACE_MARKET, {"shard": before[market].shard}, {"shard": where}, market=market)
            await record_act(session, shell_operator(), act, now())
        return placed


async def processes(settings: Settings) -> list[dict[str, Any]]:
    """One row per registered process: where it runs, where its metrics are served, and its tasks."""
    async with session_of(settings) as session:
        running = await read_processes(session)
    return [
        {
            "process": name.kind,
            "at": name.place,
            "metrics": f"http://{name.metrics}/metrics" if name.metrics else None,
            "works_for": ", ".join(f"{task.work} {task.market}".rstrip() for task in tasks) or None,
        }
        for name, tasks in running
    ]


async def dead_letters(settings: Settings) -> "list[DeadLetter]":
    """Every dead letter, oldest first."""
    from broker.dead_letters import read_dead_letters

    try:
        return await read_dead_letters(settings.broker_address)
    except TimeoutError as error:
        raise BrokerSilent from error


async def retry_dead_letters(settings: Settings, ids: Collection[str], reason: str | None) -> list[RetryOutcome]:
    """Retry these dead letters, or all of them; returns the outcome of each."""
    from agents.dead_letter_retry import retry_for_operator

    chosen = [dead_letter for dead_letter in await dead_letters(settings) if not ids or dead_letter.id in ids]
    async with session_of(settings) as session:
        operator = shell_operator()
        return [await retry_for_operator(session, operator, letter, reason, now()) for letter in chosen]


async def _record(settings: Settings, act: Act) -> None:
    async with session_of(settings) as session:
        await record_act(session, shell_operator(), act, now())


async def _check_clock(session: Session) -> None:
    """Report a clock that the command's time is not taken from."""
    offset = await CheckedClock(now).check(session)
    if offset.is_wrong:
        print(f"the clock of this machine is {offset}; the command takes the time that both agree on", file=sys.stderr)


def _account_name() -> str:
    """The name of the account this process runs under; its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


async def _markets(session: Session) -> list[MarketView]:
    page = await list_markets(session, ListRequest(limit=LIMIT_MAX))
    if not isinstance(page, Page):
        raise RuntimeError(page.message)  # a request without a cursor cannot be refused
    return page.data


async def _until_passed(
    session: Session, targets: dict[str, int], within_s: float
) -> dict[str, PipelineProgress] | None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        progress = await read_progress(session)
        if all(progress[market].command_seq >= seq for market, seq in targets.items()):
            return {market: progress[market] for market in targets}
        await asyncio.sleep(POLL_S)
    return None


class _OneSession(NamedTuple):
    """One kept session, for work that would also run on any session of a pool."""

    session: Session

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        return await work(self.session)


@asynccontextmanager
async def session_of(settings: Settings) -> AsyncIterator[Session]:
    """A short session of the exchange's database."""
    session = await asyncpg.connect(settings.database_url, timeout=5, command_timeout=60)
    try:
        yield session
    finally:
        await close_quietly(session)  # the session may be lost: an exception from the block must not be replaced
