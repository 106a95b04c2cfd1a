"""A market of the first rules moves to the second ones while it trades, with real processes, and in the full size while they die."""

import msgspec
import pytest

from app.compose import prepare_topics
from app.operator import now
from bench.exchange_process import ExchangeProcess
from broker.event_records import hashes_in, read_records
from broker.reader import read_all
from exchange.engine.log.journal import answer_command
from exchange.engine.market import empty_market
from schemas.market import RULES_FIRST, RULES_SECOND, SEED_MARKETS
from schemas.topics import commands_topic
from schemas.wire import EventRecord, decode_command, decode_command_record
from store.markets.registry import list_market
from store.session.connect import connect_writer
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import strike
from tests.system.fill_stream import every_fill_is_published
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, settings_of, until_accepted


@pytest.mark.parametrize(
    ("orders", "deaths"),
    [
        pytest.param(20, (), id="short"),
        pytest.param(1_000, ("engine", "projection", "relay") * 3, marks=FULL, id="full"),
    ],
)
@pytest.mark.timeout(400)
async def test_a_market_moves_to_newer_rules_while_it_trades(
    any_exchange: Start, orders: int, deaths: tuple[str, ...], measured: Measured
) -> None:
    """Nothing is lost, every order ends or rests, `verify` and `audit --deep` agree, and a replay from zero gives the same bytes."""
    exchange = await any_exchange()
    market = f"OLD{len(deaths)}-PERP"
    await _list_by_first_rules(exchange, market)
    async with trading(exchange.url, reference={market: (60_000, 1, "0.00{}")}) as load:
        await until_accepted(load, orders)
        await eventually(lambda: _records(exchange, market), every_s=0.5)  # an engine owns it, and uses the first rules
        for part in deaths:
            await strike(exchange, part)
            await until_accepted(load, orders // len(deaths))
        moved = await exchange.command("market", "rules", market, str(RULES_SECOND))
        assert moved == (0, f"{market} has rules {RULES_SECOND}\n")
        for part in deaths:
            await strike(exchange, part)
            await until_accepted(load, orders // len(deaths))
        await until_accepted(load, orders)
    await nothing_is_lost_or_doubled(exchange, load)
    await every_fill_is_published(settings_of(exchange), market)
    for words in (("verify", "--market", market), ("audit", "--deep")):
        code, printed = await exchange.command(*words)
        assert code == 0, printed
    records = await _records(exchange, market)
    assert {record.rules for record in records} == {RULES_FIRST, RULES_SECOND}
    written = await _replayed(exchange, market, records[-1].last_command_seq)
    assert _bodies(records) == written
    measured(f"events of {market}, the same bytes again", len(written))


async def _records(exchange: ExchangeProcess, market: str) -> list[EventRecord]:
    return [each.record for each in await read_records(exchange.published()["brokerUrl"], market, 0)]


async def _list_by_first_rules(exchange: ExchangeProcess, market: str) -> None:
    """As a release has listed it that knew no others."""
    settings = settings_of(exchange)
    await prepare_topics(settings, [market])
    session = await connect_writer(settings.database_url, "test listing")
    await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=market), now(), rules=RULES_FIRST)
    await session.close()


async def _replayed(exchange: ExchangeProcess, market: str, last_seq: int) -> dict[int, bytes]:
    """The events that an empty market writes, given the command log from its first record to a command."""
    log = await read_all(exchange.published()["brokerUrl"], commands_topic(market))
    commands = {each.seq: bytes(each.body) for record in log for each in decode_command_record(record.value).commands}
    assert sorted(commands) == list(range(1, len(commands) + 1))
    state = empty_market(market)
    return {
        event.seq: event.body
        for seq, body in sorted(commands.items())
        if seq <= last_seq
        for event in answer_command(state, seq, decode_command(body))
    }


def _bodies(records: list[EventRecord]) -> dict[int, bytes]:
    return {
        seq: bytes(body) for record in records for (seq, _), body in zip(hashes_in(record), record.events, strict=True)
    }
