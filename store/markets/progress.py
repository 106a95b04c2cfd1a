"""The progress of a market in PostgreSQL, which stream workers read when they start."""

from collections.abc import Collection
from typing import NamedTuple

from store.session.connect import Session


class MarketProgress(NamedTuple):
    """A market's number, the epoch its records must have, and its last persisted event and command.

    `halted_reason`: why no worker may process it (store/markets/halts.py); None when it is not halted.
    """

    market_id: int
    epoch: int
    event_seq: int
    command_seq: int
    event_hash: str
    halted_reason: str | None = None


_COLUMNS = "market_id, epoch, event_seq, command_seq, event_hash, halted_reason"
_READ = f"SELECT {_COLUMNS} FROM markets JOIN progress USING (market_id) WHERE name = $1"  # noqa: S608 - our own constant
_READ_MANY = f"SELECT name, {_COLUMNS} FROM markets JOIN progress USING (market_id) WHERE name = ANY($1::text[])"  # noqa: S608 - as above


async def read_progress_of(connection: Session, markets: Collection[str]) -> dict[str, MarketProgress]:
    """The progress of those of these markets that are listed."""
    rows = await connection.fetch(_READ_MANY, list(markets))
    return {name: MarketProgress(*progress) for name, *progress in rows}


async def read_market_progress(connection: Session, market: str) -> MarketProgress:
    """The progress of a listed market; KeyError for one that is not."""
    row = await connection.fetchrow(_READ, market)
    if row is None:
        raise KeyError(market)
    return MarketProgress(*row)
