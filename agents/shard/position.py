"""Where the readers of an event log continue: after what PostgreSQL holds, whatever their group has committed."""

from agents.worker.database import ask_database
from agents.worker.settings import StreamSettings
from broker.event_records import offset_after
from store.markets.progress import read_market_progress


async def first_unpersisted(market: str, settings: StreamSettings, worker: str) -> int:
    """The offset from which on the event log of a market holds all events that are not persisted."""
    progress = await ask_database(settings.dsn, worker, lambda session: read_market_progress(session, market))
    return await offset_after(settings.bootstrap, market, progress.event_seq)
