"""Whether a worker has pending work, by the broker and the database. The stall watchdog asks."""

from agents.matching.market_assignment import MarketAssignment
from agents.worker.database import ask_once
from agents.worker.settings import StreamSettings
from broker.command_records import record_or_none
from broker.event_records import record_or_none as event_record_or_none
from broker.reader import last_readable, read_back
from schemas.topics import commands_topic, engine_app_id, events_topic, projection_app_id
from store.markets.progress import MarketProgress, read_market_progress


async def has_commands(market: str, settings: StreamSettings, assignment: MarketAssignment | None) -> bool:
    """Whether an engine has pending work: unread commands or, without an assignment, its recovery.

    None in a halted market. Commands that it read and dropped because an earlier one is missing are the relay's work.
    """
    progress = await _progress(market, settings, engine_app_id(market))
    found = await read_back(
        settings.bootstrap,
        commands_topic(market),
        lambda each: record_or_none(each[0].value, market) is not None,
        step=1,
    )
    if progress.halted_reason is not None or assignment is None:
        return progress.halted_reason is None
    records = [(each.offset, record_or_none(each.value, market)) for each in found]
    return any(
        offset > assignment.offset and record.commands[-1].seq > assignment.market.command_seq
        for offset, record in records
        if record is not None and record.commands
    )


async def has_events(market: str, settings: StreamSettings) -> bool:
    """Whether a projection has pending work: events that are not persisted, in a market that is not halted."""
    progress = await _progress(market, settings, projection_app_id(market))
    record = await last_readable(
        settings.bootstrap, events_topic(market), lambda value: event_record_or_none(value, market)
    )
    return progress.halted_reason is None and record is not None and record.last_event_seq > progress.event_seq


async def _progress(market: str, settings: StreamSettings, worker: str) -> MarketProgress:
    return await ask_once(settings.dsn, worker, lambda session: read_market_progress(session, market))
