"""What must hold of an exchange after any disturbance."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import asyncpg
import msgspec

from app.operator import audit_books, drain_markets
from app.settings import Settings, load_settings, resolve_local
from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader
from broker.event_records import hashes_in, read_records
from broker.reader import read_all
from exchange.engine.log.snapshot_format import load
from exchange.engine.market import Market
from schemas.topics import book_changelog_topic
from schemas.wire import EventRecord
from store.markets.progress import read_market_progress
from store.session.connect import is_outage
from tables.book_table import heads, is_head, read_head, verified_snapshots
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.fill_stream import every_fill_is_published
from tests.system.patient_load import PatientLoad

LIVE_OR_ENDED = {"OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "REJECTED"}
MARKETS = ("BTC-PERP", "ETH-PERP")
HEALED_WITHIN_S = 120.0
REMEDIES = ("is missing in the log", "reading it from the log", "the command log ends at")


async def nothing_is_lost_or_doubled(
    exchange: ExchangeProcess, load: PatientLoad, *, are_logs_torn: bool = False
) -> None:
    """Every accepted order is there once and has ended or rests, every fill is there once on each side and in the public
    stream, all sums hold. Where the logs were not torn no worker met a hole in them."""
    await healed(exchange)
    assert are_logs_torn or not remedies(exchange), "\n".join(remedies(exchange))
    async with aiohttp.ClientSession(exchange.url) as session:
        orders = await _all(session, load.traders, "/orders")
        fills = await _all(session, load.traders, "/fills")
    by_client_id = Counter(order["clientOrderId"] for order in orders)
    assert set(by_client_id.values()) <= {1}
    assert {order["clientOrderId"]: order["orderId"] for order in orders} == load.accepted
    assert {order["status"] for order in orders} <= LIVE_OR_ENDED
    assert set(Counter((fill["tradeId"], fill["liquidityRole"]) for fill in fills).values()) <= {1}
    assert await audit_books(settings_of(exchange), is_deep=True) == []
    for market in MARKETS:
        await every_fill_is_published(settings_of(exchange), market)


def remedies(exchange: ExchangeProcess) -> list[str]:
    """Where a worker met a hole and had it filled. No death of a process makes one: an owner released its market too early."""
    logs = [*(exchange.data / "log").glob("*.log"), *exchange.data.parent.glob("standby*.log")]
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    return [line for line in lines if any(remedy in line for remedy in REMEDIES)]


async def healed(exchange: ExchangeProcess) -> None:
    """Wait until a command sent now has gone through every log and into the tables."""
    await eventually(lambda: _is_drained(exchange), HEALED_WITHIN_S)


async def all_are_answered(exchange: ExchangeProcess, accepted: Iterable[tuple[Trader, str]]) -> None:
    """Every order that was accepted is answered, the books balance, and the log is that of the rows."""
    assert (await exchange.command("drain"))[0] == 0
    async with aiohttp.ClientSession(exchange.url) as session:
        assert "PENDING" not in [await _status(session, trader, order_id) for trader, order_id in accepted]
    for words in (("audit",), ("verify", "--market", "BTC-PERP")):
        code, printed = await exchange.command(*words)
        assert code == 0, printed


async def one_event_a_sequence(exchange: ExchangeProcess, *markets: str) -> int:
    """No event sequence was ever written with two contents, and none is missing; how many events there are."""
    bootstrap = exchange.published()["brokerUrl"]
    logs = [await read_records(bootstrap, market, 0) for market in markets or MARKETS]
    return sum(count_events([each.record for each in log]) for log in logs)


async def engine_state(exchange: ExchangeProcess, market: str) -> Market:
    """The market as its engine has it: the newest snapshot, once that covers what is persisted now."""
    bootstrap = exchange.published()["brokerUrl"]
    async with session_to(settings_of(exchange).database_url) as session:
        persisted = (await read_market_progress(session, market)).command_seq

    async def covers() -> Market | None:
        written = await read_all(bootstrap, book_changelog_topic(market))
        last = {each.key: each.value for each in written}
        entries = {key: value for key, value in last.items() if value is not None}
        newest = heads(entries)[0]
        if newest.command_seq < persisted:
            return None
        return load(verified_snapshots(entries, market, newest.epoch)[0].state)

    return await eventually(covers, HEALED_WITHIN_S)


async def no_snapshot_is_spoilt(exchange: ExchangeProcess) -> int:
    """By any owner, at any time: a snapshot's content was the same, and the newest of all is there; how many there were."""
    bootstrap = exchange.published()["brokerUrl"]
    logs = {market: await read_all(bootstrap, book_changelog_topic(market)) for market in MARKETS}
    return sum(count_snapshots(market, [(each.key, each.value) for each in log]) for market, log in logs.items())


async def every(session: aiohttp.ClientSession, trader: Trader, path: str) -> list[Any]:
    """All entries of a paged list."""
    entries: list[Any] = []
    query = "limit=500"
    while query:
        async with session.get(f"{path}?{query}", headers=trader.headers) as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.json()
        entries += page["data"]
        query = f"limit=500&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    return entries


async def until_accepted(load: PatientLoad, more: int, within_s: float = HEALED_WITHIN_S) -> None:
    """Wait until this many more orders are accepted."""
    target = len(load.accepted) + more

    def are_accepted() -> bool:
        load.raise_what_ended_it()
        return len(load.accepted) >= target

    try:
        await eventually(are_accepted, within_s)
    except AssertionError as error:
        error.add_note(
            f"replies so far: {load.replies}, the last: {load.last}, cut: {load.cut}, refused: {load.refused}"
        )
        raise


def settings_of(exchange: ExchangeProcess) -> Settings:
    """The settings of a command line on this exchange."""
    return resolve_local(load_settings({"DATA": str(exchange.data)}))


async def _is_drained(exchange: ExchangeProcess) -> bool:
    try:
        return await drain_markets(settings_of(exchange)) is not None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if not is_outage(error):
            raise
        return False


async def _all(session: aiohttp.ClientSession, traders: Iterable[Trader], path: str) -> list[Any]:
    return [entry for trader in traders for entry in await every(session, trader, path)]


async def _status(session: aiohttp.ClientSession, trader: Trader, order_id: str) -> str:
    async with session.get(f"/orders/{order_id}", headers=trader.headers) as answer:
        return str((await answer.json())["status"])


def count_snapshots(market: str, written: Sequence[tuple[bytes, bytes | None]]) -> int:
    """How many snapshots a changelog was given; none may be written twice with two contents, the newest must hold."""
    seen: dict[bytes, bytes] = {}
    entries: dict[bytes, bytes] = {}
    for key, value in written:
        if value is None:
            entries.pop(key, None)
            continue
        assert seen.setdefault(key, _content(key, value)) == _content(key, value), f"{key!r} has got another content"
        entries[key] = value
    sequences = [read_head(value).command_seq for key, value in seen.items() if is_head(key)]
    newest = heads(entries)[0]
    assert newest.command_seq == max(sequences), "an older snapshot has come over the newest"
    assert verified_snapshots(entries, market, newest.epoch)[0].head == newest
    return len(sequences)


def count_events(records: Sequence[EventRecord]) -> int:
    """How many events a log holds; fails for a sequence that is missing or has two contents."""
    seen: dict[int, str] = {}
    for seq, chain in (pair for record in records for pair in hashes_in(record)):
        assert seen.setdefault(seq, chain) == chain, f"event {seq} was written twice, and not the same"
    assert sorted(seen) == list(range(min(seen), max(seen) + 1))
    return len(seen)


def _content(key: bytes, value: bytes) -> bytes:
    """What two owners must agree on: where the commands were read from is each one's own."""
    return msgspec.json.encode(msgspec.structs.replace(read_head(value), offset=0)) if is_head(key) else value
