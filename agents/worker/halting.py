"""Halting a market whose command log and database do not belong together, instead of crashing again and again.

Exception
|-- MarketHalted     the market is halted already: do not work on it
`-- UnknownCommand   the log holds a command that this database never accepted: it was restored from a backup
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import NoReturn

from aiokafka.errors import KafkaError

from agents.worker.database import ask_database
from agents.worker.settings import StreamSettings
from broker.command_records import record_or_none
from broker.errors import AlteredCommand
from broker.producer import can_be_retried
from broker.reader import last_readable
from schemas.topics import commands_topic
from schemas.wire import CommandRecord
from store.markets.halts import first_unknown_command, halt
from store.markets.progress import MarketProgress, read_market_progress
from store.projection import ProjectionStopped
from store.session.connect import Connection, StoreUnavailable

log = logging.getLogger(__name__)


class MarketHalted(Exception):
    """The market is halted: no worker works for it until an operator has decided between its log and the database."""

    def __init__(self, market: str, reason: str) -> None:
        super().__init__(f"{market} is HALTED: {reason}")
        self.market = market
        self.reason = reason


class UnknownCommand(Exception):
    """A command of the log differs from the one in PostgreSQL, or PostgreSQL has none with its sequence."""

    def __init__(self, market: str, seq: int) -> None:
        super().__init__(f"command {market}:{seq} of the log is not in this database, which was restored from a backup")
        self.market = market
        self.seq = seq


def check_not_halted(market: str, progress: MarketProgress) -> None:
    """Raise MarketHalted if the market is halted."""
    if progress.halted_reason is not None:
        raise MarketHalted(market, progress.halted_reason)


async def check_record_is_known(session: Connection, progress: MarketProgress, record: CommandRecord) -> None:
    """Raise UnknownCommand if this database does not hold the commands of the log's newest record."""
    logged = {command.seq: bytes(command.body) for command in record.commands}
    seq = await first_unknown_command(session, progress.market_id, logged)
    if seq is not None:
        raise UnknownCommand(record.market, seq)


async def check_log_is_known(session: Connection, bootstrap: str, market: str) -> None:
    """Both checks, made for every new session: it may be the first one after a restore.

    Raises MarketHalted or UnknownCommand; StoreUnavailable while the broker is unavailable: try again.
    """
    progress = await read_market_progress(session, market)
    check_not_halted(market, progress)
    try:
        record = await last_readable(bootstrap, commands_topic(market), lambda value: record_or_none(value, market))
    except KafkaError as error:
        if can_be_retried(error):
            raise StoreUnavailable(outcome_is_unknown=False) from error
        raise
    if record is not None and record.epoch == progress.epoch:
        await check_record_is_known(session, progress, record)


async def halting_on_mismatch(work: Awaitable[None], worker: str, market: str, settings: StreamSettings) -> None:
    """Await the work of one market; halt and quarantine it if its log and the database do not belong together."""
    try:
        await work
    except MarketHalted as error:
        await quarantine(worker, error)
    except (UnknownCommand, AlteredCommand) as error:
        await halt_market(worker, market, settings, error)
        await quarantine(worker, error)
    except ProjectionStopped as error:  # the events of a halted market may not fit the rows
        progress = await ask_database(settings.dsn, worker, lambda session: read_market_progress(session, market))
        if progress.halted_reason is None:
            raise
        await quarantine(worker, error)


async def halt_market(worker: str, market: str, settings: StreamSettings, reason: Exception) -> None:
    """Record in PostgreSQL that the market is halted, and why; waits through an outage."""
    log.critical("%s halts %s: %s (docs/adr/0004)", worker, market, reason)
    await ask_database(settings.dsn, worker, lambda session: halt(session, market, str(reason)))


async def quarantine(worker: str, reason: Exception) -> NoReturn:
    """Stop working for this market, while the process continues for others. A restart would not help."""
    log.critical("%s is quarantined: %s", worker, reason)
    while True:
        await asyncio.Event().wait()
