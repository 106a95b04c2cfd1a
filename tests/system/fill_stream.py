"""What must hold of the public fill streams of an exchange, after any disturbance."""

from agents.fills.record_kinds import FILLS
from agents.fills.record_stream import AGAIN_ON_A_NEW_BROKER
from app.operator import records_from
from app.settings import Settings
from broker.reader import read_all
from schemas.fills import encode_fill
from schemas.topics import fills_topic
from tests.agents.fill_reader import kept_by_sequence
from tests.eventually import eventually

PUBLISHED_WITHIN_S = 120.0


async def every_fill_is_published(settings: Settings, market: str) -> None:
    """Wait until the stream has the newest stored fill: then it has each, as it is stored, in order, without a hole.

    A stream that started on a new broker has at least the last 10,000.
    """
    stored = {fill.sequence: encode_fill(fill) async for fill in records_from(settings, FILLS, market, 1)}
    newest = max(stored, default=0)

    async def kept() -> dict[int, bytes] | None:
        found = kept_by_sequence(record.value for record in await read_all(settings.broker_url, fills_topic(market)))
        return found if max(found, default=0) >= newest else None

    published = {} if not stored else await eventually(kept, PUBLISHED_WITHIN_S, every_s=0.5)
    assert published is not None
    assert {sequence: stored[sequence] for sequence in published if sequence <= newest}.items() <= published.items()
    assert len(published) >= min(len(stored), AGAIN_ON_A_NEW_BROKER)
