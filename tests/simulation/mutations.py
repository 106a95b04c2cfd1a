"""Bugs put in on purpose, each by replacing one function of ours: the simulator must find every one."""

from collections.abc import Sequence
from typing import Any

import agents.matching.snapshot_writer
import agents.relay
import agents.relayed_market
import exchange.engine.log.snapshot_format
import store.activation.activation
import store.projection.fold
import store.projection.forced
import store.projection.projector
import tables.book_table
from agents.hosting import HostedShards
from agents.matching.app import MarketEngine
from agents.matching.command_sequencer import CommandSequencer, Sequenced, UnseenCommand
from agents.matching.market_assignment import MarketAssignment
from agents.matching.restoring import restore_table
from agents.matching.snapshot_writer import SnapshotWriter
from agents.matching.worker import Matcher
from agents.projection.app import MarketProjection
from agents.projection.worker import Projector
from agents.shard.market_work import MarketWork
from agents.shard.placement import Served
from agents.shard.worker import MarketWorker
from agents.worker.fail_stop import fail_fast
from agents.worker.topic_watch import TopicWatch
from api.live.event_cursor import EventCursor
from broker.command_records import read_command
from broker.producer import AckedProducer
from exchange.engine.log.journal import EncodedEvent
from exchange.engine.market import Market
from exchange.market_data.book_levels import BookLevels
from schemas.events import CountdownChanged, Event, OrderAccepted, OrderAmended, SpecChanged
from schemas.ids import order_key
from schemas.orders import Side
from schemas.wire import CommandRecord, EventRecord, decode_event
from store.command_log.outbox import SentRecord, set_cursor
from store.money.ledger import Entry, House, trade_entries
from store.projection import EventGap, ProjectionStopped
from store.projection.batch_rows import BatchRows
from store.projection.chain import ChainedEvent, Progress
from store.projection.fold import Fold
from store.projection.forced import set_position
from store.projection.market_row import change_market
from store.projection.rows import MarginTerms, MarketChange, OrderRow
from store.submission.decisions import Decisions
from store.submission.reading import LiveOrder
from tables.book_table import Snapshot, keys_of_snapshot, snapshot_entries
from tests.simulation.wiring import Place, replaced

_handle, _take, _settle, _fitting, _resting = (
    Matcher.handle,
    Projector.take,
    Projector.settle,
    agents.relayed_market.fitting,
    exchange.engine.log.snapshot_format._resting,
)
_set_countdown = Fold._set_countdown
_begin_engine, _begin_projection, _make_projection, _forget_old, _follow = (
    MarketEngine.begin,
    MarketProjection.begin,
    MarketProjection.__init__,
    SnapshotWriter._forget_old,
    HostedShards.follow,
)
_take_from_sums, _exposure_changes = Fold._take_from_sums, Decisions.exposure_changes
_amend, _count_exactly = Fold._amend, Fold._count_exactly
_cancel_in = Decisions._cancel_in


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


def _keep_the_trigger(fold: Fold, event: OrderAmended) -> None:
    _amend(fold, event)
    fold.rows.touched_orders[order_key(fold._market_id, event.order)].trigger_price = None


def _release_an_amend_twice(fold: Fold, order: OrderRow, terms: MarginTerms, added: int) -> None:
    fold._take_from_sums(order, order.amend_lots)
    _count_exactly(fold, order, terms, added)


def _head_first(taken: Snapshot) -> list[tuple[bytes, bytes]]:
    return list(reversed(snapshot_entries(taken)))


def _take_seen_again(sequencer: CommandSequencer, record: CommandRecord) -> Sequenced:
    sequencer._kept += [command.body for command in record.commands]
    fresh = [UnseenCommand(each.seq, each.body, read_command(each.body)) for each in record.commands]
    return Sequenced(fresh, None)


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


def _keep_the_specification(market: MarketChange, event: Any) -> None:
    if not isinstance(event, SpecChanged):
        change_market(market, event)


def _forget_the_open_interest(batch: BatchRows, party: Any, filled: int) -> None:
    before = batch.rows.open_interest
    set_position(batch, party, filled)
    batch.rows.open_interest = before + max(0, filled)


async def _see_nothing_replaced(*_: Any) -> bool:
    return False


def _committed(worker: Any) -> int:
    """Where the group of a shard has it, at the end if it has nothing: what Kafka's own clients do."""
    member, topic = worker._app.consumer._thread._member, worker.feed.topic
    return int(member.group.committed.get(topic, len(member._broker.log(topic))))


async def _match_from_the_commit(engine: Any) -> int | None:
    begins = await _begin_engine(engine)
    return None if begins is None else _committed(engine)


def _keep_the_app(projection: Any, app: Any, *given: Any) -> None:
    _make_projection(projection, app, *given)
    projection._app = app


async def _persist_from_the_commit(projection: Any) -> int | None:
    await _begin_projection(projection)
    return _committed(projection)


def _read_on(work: Any) -> None:
    work._is_owner.clear()
    work.is_up.clear()
    if work._worker is not None:
        work._worker.release()


async def _acknowledge_what_is_dropped(matcher: Matcher, event: Any) -> None:
    await _handle(matcher, event)
    if matcher._assignment is None:
        event.ack()


async def _forget_all_but_ours(writer: SnapshotWriter, newest: int) -> None:
    await _forget_old(writer, newest)
    there: dict[bytes, bytes] = {}
    await restore_table("", writer._market, there, lambda: None)
    for head in tables.book_table.heads(there):
        if head.command_seq > newest:
            await writer._producer.send_all(
                writer._topic, [(key, None) for key in keys_of_snapshot(there, head.command_seq)]
            )


async def _grow_before_shrinking(hosted: Any, served: Served) -> None:
    for shard, markets in served.shards.items():
        if (unit := hosted._units.get(shard)) is not None:
            await unit.place(markets | unit.markets)
    await _follow(hosted, served)


async def _until_all_are_sound(watch: TopicWatch, _: str) -> None:
    async with watch._changed:
        await watch._changed.wait_for(lambda: not watch._rests)


async def _until_any_is_faulty(watch: TopicWatch, _: str) -> str:
    async with watch._changed:
        await watch._changed.wait_for(lambda: watch._rests)
        return next(iter(watch._rests.values()))


async def _finish_by_itself(work: MarketWork, worker: MarketWorker) -> None:
    await fail_fast(worker.finish(), work.name)


_terms, _accept = store.activation.activation._terms, Fold._accept


def _reserve_nothing(*decided: Any) -> tuple[int, ...]:
    return (*_terms(*decided)[:3], *[0] * 6)


def _accept_without_margin(fold: Fold, event: OrderAccepted) -> None:
    with replaced({(Fold, "_add_to_sums"): lambda *_: None}):
        _accept(fold, event)


def _keep_the_countdown(fold: Fold, event: CountdownChanged) -> None:
    if event.deadline is not None:
        _set_countdown(fold, event)


def _cancel_all_but_the_newest(decisions: Decisions, user: int, market_id: int, found: Sequence[LiveOrder]) -> None:
    if len(found) > 1:
        _cancel_in(decisions, user, market_id, found[:-1])


def _follow_again(cursor: EventCursor, record: EventRecord) -> list[Event]:
    cursor.position = Progress(record.last_event_seq, record.last_command_seq, record.hash)
    return [decode_event(body) for body in record.events]


MUTATIONS: dict[str, dict[Place, Any]] = {
    "the projection applies what it has": {(store.projection.projector, "events_after"): _project_again},
    "a record is acknowledged before its snapshot": {(Matcher, "handle"): _acknowledge_before_the_snapshot},
    "a record is acknowledged before its rows": {(Projector, "take"): _acknowledge_before_the_rows},
    "the cursor is overwritten after a rewind": {(agents.relay, "record_sent"): _overwrite_the_cursor},
    "one lot's fee is not released": {(Fold, "_take_from_sums"): _forget_a_fee},
    "what an amend adds is released twice": {(Fold, "_count_exactly"): _release_an_amend_twice},
    "a moved trigger is not persisted": {(Fold, "_amend"): _keep_the_trigger},
    "the head is written before its chunks": {(agents.matching.snapshot_writer, "snapshot_entries"): _head_first},
    "commands seen before are taken again": {(CommandSequencer, "sort"): _take_seen_again},
    "the relay leaves a command out": {(agents.relayed_market, "fitting"): _send_less},
    "a snapshot loses the order of the queue": {(exchange.engine.log.snapshot_format, "_resting"): _lose_the_queue},
    "events after written ones chain to the wrong hash": {(MarketAssignment, "leave_out_written"): _chain_wrongly},
    "the house forgets its fee": {(store.projection.fold, "trade_entries"): _keep_the_fee},
    "a take-over moves no money": {(store.projection.forced, "transfer_entries"): lambda _: []},
    "changed risk tiers are not persisted": {(store.projection.fold, "change_market"): _keep_the_specification},
    "open interest counts what is closed as opened": {
        (store.projection.fold, "set_position"): _forget_the_open_interest
    },
    "client ids are not looked up": {(Decisions, "_repeated"): lambda *_: None},
    "a batch reserves for its first order only": {
        (Decisions, "exposure_changes"): lambda decisions: list(_exposure_changes(decisions))[:1]
    },
    "a countdown that has fired stays in the table": {(Fold, "_set_countdown"): _keep_the_countdown},
    "a cancel-all leaves the newest order out": {(Decisions, "_cancel_in"): _cancel_all_but_the_newest},
    "nobody notices that the log has lost what recovery read": {
        (AckedProducer, "expect_beyond"): lambda *_: None,
    },
    "nobody looks whether the last known record is still there": {
        (AckedProducer, "_is_replaced"): _see_nothing_replaced,
    },
    "the projection gives up at a hole that the log heals": {(Projector, "settle"): _give_up_at_the_hole},
    "an engine continues where its group has committed": {(MarketEngine, "begin"): _match_from_the_commit},
    "a projection continues where its group has committed": {
        (MarketProjection, "__init__"): _keep_the_app,
        (MarketProjection, "begin"): _persist_from_the_commit,
    },
    "an evicted owner reads on, and acknowledges what it drops": {
        (MarketWork, "disown"): _read_on,
        (Matcher, "handle"): _acknowledge_what_is_dropped,
    },
    "an owner forgets the snapshots of the next one": {(SnapshotWriter, "_forget_old"): _forget_all_but_ours},
    "a market joins its next shard before it leaves the last, and its head is overwritten": {
        (HostedShards, "follow"): _grow_before_shrinking,
        (tables.book_table, "_head_key"): lambda _: b"head/0",
    },
    "a fault of one market lets the shard rest": {
        (TopicWatch, "until_sound"): _until_all_are_sound,
        (TopicWatch, "until_faulty"): _until_any_is_faulty,
    },
    "a market that leaves outlives its connection": {(MarketWork, "_finish"): _finish_by_itself},
    "an activated order reserves no margin": {(store.activation.activation, "_terms"): _reserve_nothing},
    "what had waited counts for nothing once it is in the book": {(Fold, "_accept"): _accept_without_margin},
    "a reader of the log does not follow what an amend moves": {(BookLevels, "_amend"): lambda *_: None},
    "a reader of the log follows old records again": {(EventCursor, "take"): _follow_again},
}
"""The sentence is the bug; each is a set of attributes to replace."""

SHOWN_BY = {
    "the projection applies what it has": 0,
    "a record is acknowledged before its snapshot": 0,
    "a record is acknowledged before its rows": 0,
    "the cursor is overwritten after a rewind": 12,
    "one lot's fee is not released": 0,
    "what an amend adds is released twice": 2,
    "a moved trigger is not persisted": 20,
    "the head is written before its chunks": 0,
    "commands seen before are taken again": 0,
    "the relay leaves a command out": 1,
    "a snapshot loses the order of the queue": 137,
    "events after written ones chain to the wrong hash": 4,
    "the house forgets its fee": 0,
    "a take-over moves no money": 3,
    "changed risk tiers are not persisted": 6,
    "open interest counts what is closed as opened": 13,
    "client ids are not looked up": 0,
    "a batch reserves for its first order only": 0,
    "a countdown that has fired stays in the table": 6,
    "a cancel-all leaves the newest order out": 671,
    "nobody notices that the log has lost what recovery read": 23,
    "nobody looks whether the last known record is still there": 684,
    "the projection gives up at a hole that the log heals": 59,
    "an engine continues where its group has committed": 0,
    "a projection continues where its group has committed": 0,
    "an evicted owner reads on, and acknowledges what it drops": 10,
    "an owner forgets the snapshots of the next one": 17,
    "a market joins its next shard before it leaves the last, and its head is overwritten": 46,
    "a fault of one market lets the shard rest": 3,
    "a market that leaves outlives its connection": 21,
    "an activated order reserves no margin": 1,
    "what had waited counts for nothing once it is in the book": 78,
    "a reader of the log does not follow what an amend moves": 5,
    "a reader of the log follows old records again": 0,
}
"""The seed that shows each bug; without the bug it is clean."""
