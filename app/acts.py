"""Entries of the log of operators for acts of the command line that are not done in one transaction of the database."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from app.operator import now, session_of, shell_operator
from app.settings import Settings
from schemas.rest.drains import Drained
from schemas.rest.operating.acts import Action
from store.operators.acts import Act, record_act

if TYPE_CHECKING:  # only callers that use the broker load its client
    from agents.rebuild import MovedMarket
    from broker.topic_faults import TopicFault


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


async def _record(settings: Settings, act: Act) -> None:
    async with session_of(settings) as session:
        await record_act(session, shell_operator(), act, now())
