"""Bugs put in on purpose, each by replacing one function of ours: the simulator must find every one."""

from collections.abc import Sequence
from typing import Any

import agents.matching.snapshot_writer
import agents.relay
import agents.relayed_market
import exchange.engine.log.snapshot_format
import store.projection.fold
import store.projection.forced
import store.projection.projector
from agents.matching.command_sequencer import CommandSequencer, Sequenced
from agents.matching.market_assignment import MarketAssignment
from agents.matching.worker import Matcher
from agents.projection.worker import Projector
from broker.producer import AckedProducer
from exchange.engine.log.journal import EncodedEvent
from exchange.engine.market import Market
from schemas.events import Event
from schemas.orders import Side
from schemas.wire import CommandRecord
from store.command_log.outbox import SentRecord, set_cursor
from store.money.ledger import Entry, House, trade_entries
from store.projection import EventGap, ProjectionStopped
from store.projection.chain import ChainedEvent, Progress
from store.projection.fold import Fold
from store.projection.rows import OrderRow
from store.submission.decisions import Decisions
from tables.book_table import Snapshot, snapshot_entries
from tests.simulation.wiring import Place

_handle, _take, _settle, _fitting, _resting = (
    Matcher.handle,
    Projector.take,
    Projector.settle,
    agents.relayed_market.fitting,
    exchange.engine.log.snapshot_format._resting,
)
_take_from_sums, _exposure_changes = Fold._take_from_sums, Decisions.exposure_changes


def _project_again(_market: str, _progress: Progress, chain: Sequence[ChainedEvent]) -> tuple[list[Event], Progress]:
    last = chain[-1]
    return [link.event for link in chain], Progress(last.event.seq, last.event.command, last.hash)


async def _acknowledge_before_the_snapshot(matcher: Matcher, event: Any) -> None:
    event.ack()
    await _handle(matcher, event)


async def _acknowledge_before_the_rows(projector: Projector, event: Any) -> None:
    event.ack()
    await _take(projector, event)


async def _overwrite_the_cursor(session: Any, records: Sequence[SentRecord]) -> set[int]:
    for record in records:
        await set_cursor(session, record.market_id, record.to_seq)
    return {record.market_id for record in records}


def _forget_a_fee(fold: Fold, order: OrderRow, lots: int) -> None:
    _take_from_sums(fold, order, lots)
    if not order.is_buy and order.remaining == lots:
        fold.rows.positions[order.user].open_fees += order.fee_per_lot


def _head_first(taken: Snapshot) -> list[tuple[bytes, bytes]]:
    return list(reversed(snapshot_entries(taken)))


def _take_seen_again(sequencer: CommandSequencer, record: CommandRecord) -> Sequenced:
    sequencer._kept += [command.body for command in record.commands]
    return Sequenced(list(record.commands), None)


def _send_less(waiting: list[Any]) -> list[Any]:
    commands = _fitting(waiting)
    return commands[:-2] + commands[-1:] if len(commands) > 2 else commands


def _lose_the_queue(market: Market, side: Side) -> list[tuple[Any, ...]]:
    return list(reversed(_resting(market, side)))


def _chain_wrongly(
    assignment: MarketAssignment, events: list[EncodedEvent], before: str
) -> tuple[str, list[EncodedEvent]]:
    return before, [event for event in events if assignment.written.pop(event.seq, None) is None]


def _keep_the_fee(trade: Any) -> list[Entry]:
    return [entry for entry in trade_entries(trade) if entry.account != House.FEES]


def _give_up_at_the_hole(projector: Projector, count: int, outcome: int | ProjectionStopped) -> None:
    if projector._missing and isinstance(outcome, EventGap):
        raise outcome
    _settle(projector, count, outcome)


async def _see_nothing_replaced(*_: Any) -> bool:
    return False


MUTATIONS: dict[str, dict[Place, Any]] = {
    "the projection applies what it has": {(store.projection.projector, "events_after"): _project_again},
    "a record is acknowledged before its snapshot": {(Matcher, "handle"): _acknowledge_before_the_snapshot},
    "a record is acknowledged before its rows": {(Projector, "take"): _acknowledge_before_the_rows},
    "the cursor is overwritten after a rewind": {(agents.relay, "record_sent"): _overwrite_the_cursor},
    "one lot's fee is not released": {(Fold, "_take_from_sums"): _forget_a_fee},
    "the head is written before its chunks": {(agents.matching.snapshot_writer, "snapshot_entries"): _head_first},
    "commands seen before are taken again": {(CommandSequencer, "sort"): _take_seen_again},
    "the relay leaves a command out": {(agents.relayed_market, "fitting"): _send_less},
    "a snapshot loses the order of the queue": {(exchange.engine.log.snapshot_format, "_resting"): _lose_the_queue},
    "events after written ones chain to the wrong hash": {(MarketAssignment, "leave_out_written"): _chain_wrongly},
    "the house forgets its fee": {(store.projection.fold, "trade_entries"): _keep_the_fee},
    "a take-over moves no money": {(store.projection.forced, "transfer_entries"): lambda _: []},
    "client ids are not looked up": {(Decisions, "_repeated"): lambda *_: None},
    "a batch reserves for its first order only": {
        (Decisions, "exposure_changes"): lambda decisions: list(_exposure_changes(decisions))[:1]
    },
    "nobody notices that the log has lost what recovery read": {
        (AckedProducer, "expect_beyond"): lambda *_: None,
    },
    "nobody looks whether the last known record is still there": {
        (AckedProducer, "_is_replaced"): _see_nothing_replaced,
    },
    "the projection gives up at a hole that the log heals": {(Projector, "settle"): _give_up_at_the_hole},
}
"""The sentence is the bug; each is a set of attributes to replace."""

SHOWN_BY = {
    "the cursor is overwritten after a rewind": 18,
    "a snapshot loses the order of the queue": 12,
    "nobody notices that the log has lost what recovery read": 31,
    "nobody looks whether the last known record is still there": 833,
    "the projection gives up at a hole that the log heals": 31,
}
"""The first seed to try for a bug that needs many; after it the search continues from the first seed."""
