"""Appending a command that is nobody's order to a market's log: operator, barrier, index, price, clock.

Exception
└── MarketUnknown         no market of that name is listed
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.commands import Command
from schemas.units import datetime_of
from schemas.wire import encode
from store.session.connect import Session

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

# The counters are locked in market order, as a submission does. `passed` is read as of the statement's snapshot: at worst
# a command that could go is left out once.
_APPEND_MANY = """
WITH asked AS (
  SELECT m.market_id, m.name, a.at, a.payload, a.place,
    row_number() OVER (PARTITION BY m.market_id ORDER BY a.place) AS nth
  FROM unnest($1::text[], $2::timestamptz[], $3::bytea[], $4::int8[]) WITH ORDINALITY AS a (name, at, payload, passed, place)
  JOIN markets m ON m.name = a.name JOIN progress p ON p.market_id = m.market_id
  WHERE m.halted_reason IS NULL AND p.command_seq >= a.passed),
wanted AS (SELECT market_id, name, count(*)::int8 AS n FROM asked GROUP BY market_id, name),
locked AS MATERIALIZED (
  SELECT c.market_id FROM counters c WHERE c.market_id IN (SELECT market_id FROM wanted)
  ORDER BY c.market_id FOR NO KEY UPDATE),
counter AS (
  UPDATE counters c SET command_seq = c.command_seq + w.n FROM locked l JOIN wanted w USING (market_id)
  WHERE c.market_id = l.market_id RETURNING c.market_id, c.command_seq - w.n AS base),
command AS (
  INSERT INTO outbox (market_id, command_seq, created_at, payload)
  SELECT a.market_id, c.base + a.nth, a.at, a.payload FROM asked a JOIN counter c USING (market_id)),
told AS MATERIALIZED (SELECT w.market_id, pg_notify('commands', w.name) FROM wanted w JOIN counter c USING (market_id))
SELECT a.place, c.base + a.nth AS seq FROM asked a JOIN counter c USING (market_id) JOIN told t USING (market_id)
"""


class Addressed(NamedTuple):
    """A command for a market, to be appended only when the market is persisted up to command `passed`."""

    market: str
    command: Command
    passed: int = 0


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


async def append_commands(session: Session, addressed: Sequence[Addressed]) -> list[int | None]:
    """Append commands for any number of markets in one round trip; the sequence of each, None for one that was left out.

    Left out is what has no market, goes to a market that the exchange itself has halted, or whose `passed` is not
    persisted yet: so a clock or a feed has one command under way at a time, however long engine or broker are down.
    """
    if not addressed:
        return []
    rows = await session.fetch(
        _APPEND_MANY,
        [one.market for one in addressed],
        [datetime_of(one.command.at) for one in addressed],
        [encode(one.command) for one in addressed],
        [one.passed for one in addressed],
    )
    numbered = {row["place"]: int(row["seq"]) for row in rows}
    return [numbered.get(place) for place in range(1, len(addressed) + 1)]
