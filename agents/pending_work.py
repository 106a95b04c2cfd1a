"""Whether a log waits for its worker: questions to broker and database, asked by whoever watches over a standstill."""

from agents.matching.market_assignment import Tenure
from agents.worker.database import ask_once
from agents.worker.settings import StreamSettings
from broker.command_records import record_or_none
from broker.event_records import event_record_or_none
from broker.reader import last_readable, read_back
from schemas.topics import commands_topic, engine_app_id, events_topic, projection_app_id
from store.markets.progress import Standing, read_standing


async def has_commands(market: str, settings: StreamSettings, tenure: Tenure | None) -> bool:
    """Whether an engine has something to do: commands that it has not read, or, without a tenure, its recovery.

    Not in a market that is halted. Commands it has read and dropped, since one before them is missing, are the relay's.
    """
    standing = await _standing(market, settings, engine_app_id(market))
    found = await read_back(
        settings.bootstrap,
        commands_topic(market),
        lambda each: record_or_none(each[0].value, market) is not None,
        step=1,
    )
    if standing.halted_reason is not None or tenure is None:
        return standing.halted_reason is None
    records = [(each.offset, record_or_none(each.value, market)) for each in found]
    return any(
        offset > tenure.offset and record.commands[-1].seq > tenure.market.command_seq
        for offset, record in records
        if record is not None and record.commands
    )


async def has_events(market: str, settings: StreamSettings) -> bool:
    """Whether a projection has something to do: events that are not persisted, in a market that is not halted."""
    standing = await _standing(market, settings, projection_app_id(market))
    record = await last_readable(settings.bootstrap, events_topic(market), event_record_or_none)
    return standing.halted_reason is None and record is not None and record.last_event_seq > standing.event_seq


async def _standing(market: str, settings: StreamSettings, worker: str) -> Standing:
    return await ask_once(settings.dsn, worker, lambda session: read_standing(session, market))
