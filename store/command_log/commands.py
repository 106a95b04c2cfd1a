"""Appends commands that come from no user to a market's log: operator, barrier, index, price, clock.

Exception
└── MarketUnknown         no market of that name is listed
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from schemas.commands import Command
from schemas.units import datetime_of
from schemas.wire import encode
from store.session.connect import Session

CHANNEL = "commands"
"""The channel that the relays listen to; the payload is the market's name."""

_APPEND = """
SELECT a.command_seq FROM markets m
CROSS JOIN LATERAL append_commands(ARRAY[m.market_id], ARRAY[$2::timestamptz], ARRAY[$3::bytea]) a WHERE m.name = $1
"""
MARKETS_IN_PLACES = """ARRAY(
  SELECT m.market_id FROM unnest($1::text[]) WITH ORDINALITY AS n (name, place) LEFT JOIN markets m USING (name) ORDER BY n.place)"""
"""The numbers of the markets named by the first argument, in their places; NULL for an unknown one."""
_APPEND_MANY = f"""
SELECT a.place, a.command_seq FROM append_commands({MARKETS_IN_PLACES}, $2::timestamptz[], $3::bytea[], $4::int8[]) a
"""  # noqa: S608 - a constant of ours


class Addressed(NamedTuple):
    """A command for a market, to be appended only when the market is persisted up to command `passed`."""

    market: str
    command: Command
    passed: int = 0


class MarketUnknown(Exception):
    """The market is not listed."""

    def __init__(self, market: str) -> None:
        super().__init__(market)
        self.market = market


async def append_command(session: Session, market: str, command: Command) -> int:
    """Number a command, write it to the outbox and wake the relay, atomically; returns its sequence. Raises MarketUnknown.

    Inside the caller's transaction, the market's counter stays locked until that transaction ends.
    """
    seq: int | None = await session.fetchval(_APPEND, market, datetime_of(command.at), encode(command))
    if seq is None:
        raise MarketUnknown(market)
    return seq


async def append_commands(session: Session, addressed: Sequence[Addressed]) -> list[int | None]:
    """Append commands for any number of markets in one round trip; returns the sequence of each, None for one left out.

    Left out: a command for an unknown market, for a market that the exchange itself has halted, or whose `passed` is not
    persisted yet. So a clock or a feed has one command under way at a time, however long the engine or broker is down.
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
    return in_places(rows, len(addressed))


def in_places(rows: Sequence[asyncpg.Record], count: int) -> list[int | None]:
    """The sequence of each of `count` commands, from rows of its place and its sequence; None for one without a row."""
    numbered = {row["place"]: int(row["command_seq"]) for row in rows}
    return [numbered.get(place) for place in range(1, count + 1)]
