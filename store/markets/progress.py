"""The progress of a market in PostgreSQL, which stream workers read when they start."""

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


async def read_market_progress(connection: Session, market: str) -> MarketProgress:
    """The progress of a listed market; KeyError for one that is not."""
    row = await connection.fetchrow(
        "SELECT market_id, epoch, event_seq, command_seq, event_hash, halted_reason"
        " FROM markets JOIN progress USING (market_id) WHERE name = $1",
        market,
    )
    if row is None:
        raise KeyError(market)
    return MarketProgress(*row)
