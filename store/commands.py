"""Appending a command that is nobody's order to a market's log: operator, barrier, index, clock.

Exception
└── MarketUnknown         no market of that name is listed
"""

from schemas.commands import Command
from schemas.units import datetime_of
from schemas.wire import encode
from store.connect import Session

CHANNEL = "commands"
"""What the relays listen to; the payload is the market's name."""

# Whoever holds the counter's row is the only one to number commands until it commits: no holes, no late arrivals.
_APPEND = """
WITH counter AS (
  UPDATE counters c SET command_seq = c.command_seq + 1 FROM markets m
  WHERE m.name = $1 AND c.market_id = m.market_id RETURNING c.market_id, c.command_seq, m.name),
command AS (
  INSERT INTO outbox (market_id, command_seq, created_at, payload) SELECT market_id, command_seq, $2, $3 FROM counter)
SELECT command_seq, pg_notify('commands', name) FROM counter
"""


class MarketUnknown(Exception):
    """A market that is not listed was addressed."""

    def __init__(self, market: str) -> None:
        super().__init__(market)
        self.market = market


async def append_command(session: Session, market: str, command: Command) -> int:
    """Number a command, put it into the outbox and wake the relay, atomically; its sequence. Raises MarketUnknown.

    Inside a transaction of the caller's it holds the market's counter until that transaction ends.
    """
    seq: int | None = await session.fetchval(_APPEND, market, datetime_of(command.at), encode(command))
    if seq is None:
        raise MarketUnknown(market)
    return seq
