"""Retrying a dead letter. Retrying it twice has the same effect as once (ADR 0003)."""

import msgspec

from broker.command_records import read_whole_record
from broker.dead_letters import DeadLetter
from broker.unreadable import UnreadableRecord
from schemas.rest.operating.acts import Action
from schemas.rest.operating.dead_letters import Retried, RetryOutcome
from schemas.topics import commands_topic
from schemas.units import Timestamp
from schemas.wire import CommandRecord, NumberedCommand
from store.command_log.outbox import read_commands, rewind
from store.markets.progress import MarketProgress, read_market_progress
from store.operators.acts import Act, Operator, record_act
from store.queries.formatting import storable
from store.session.connect import Session


async def retry_for_operator(
    session: Session, operator: Operator, dead_letter: DeadLetter, reason: str | None, now: Timestamp
) -> RetryOutcome:
    """Retry a letter, and record who did it, in one transaction."""
    async with session.transaction():
        outcome = await retry_dead_letter(session, dead_letter)
        before, after = {"id": dead_letter.id, "reason": dead_letter.reason}, msgspec.to_builtins(outcome)
        act = Act(Action.RETRY_DEAD_LETTER, before, after, market=storable(dead_letter.market), reason=reason)
        await record_act(session, operator, act, now)
        return outcome


async def retry_dead_letter(session: Session, dead_letter: DeadLetter) -> RetryOutcome:
    """Have the relay send a record again if it can be read now and its commands are still missing.

    A failed command was answered: its client decides whether to submit it again. The relay remains the only writer of
    the log: it sends what PostgreSQL has accepted, and the engine drops what it has seen.
    """
    if dead_letter.is_command:
        return RetryOutcome(dead_letter.id, Retried.ANSWERED, "by command.failed; its client may submit it again")
    if dead_letter.topic not in {None, commands_topic(dead_letter.market)}:
        return RetryOutcome(
            dead_letter.id, Retried.NOT_OURS, f"only commands are sent again, not what is in {dead_letter.topic}"
        )
    try:
        record = read_whole_record(dead_letter.value, dead_letter.market)
    except UnreadableRecord as fault:
        return RetryOutcome(dead_letter.id, Retried.UNREADABLE, f"{fault.reason}: {fault.detail}")
    return RetryOutcome(dead_letter.id, *await _send_again(session, record))


async def _send_again(session: Session, record: CommandRecord) -> tuple[Retried, str]:
    progress = await read_market_progress(session, record.market)
    if record.epoch != progress.epoch:
        return Retried.NOT_OURS, f"the record is of epoch {record.epoch}, the market is in {progress.epoch}"
    missing = [command for command in record.commands if command.seq > progress.command_seq]
    if not missing:
        return Retried.ANSWERED, f"all commands up to {progress.command_seq} are answered"
    if not await _are_accepted(session, progress, missing):
        return Retried.NOT_OURS, "PostgreSQL has accepted no such commands"
    await rewind(session, record.market, missing[0].seq)
    return Retried.SENT_AGAIN, f"the relay continues from command {missing[0].seq}"


async def _are_accepted(session: Session, progress: MarketProgress, missing: list[NumberedCommand]) -> bool:
    limit = len(missing)
    accepted = dict(await read_commands(session, progress.market_id, missing[0].seq - 1, limit))
    return all(accepted.get(command.seq) == bytes(command.body) for command in missing)
