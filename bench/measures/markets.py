"""S1, S2 and S3: what many markets cost, and how soon a new one trades.

One exchange: two markets alone, then more that are listed under load, then the same started again and left alone.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any, NamedTuple

import aiohttp
import asyncpg
import msgspec

from app.operator import now
from bench.exchange_process import ExchangeProcess
from bench.load.generator import REFERENCE, Reference
from bench.load.job import Kind
from bench.load.order_bodies import random_orders
from bench.load.users import FundedUser
from bench.measures.order_wait import order_waits, waited_s
from bench.peak import Completed, completed
from bench.result import Bar, Outcome, Row, alone, compared, percentile
from bench.sizes import Size
from bench.watching import cpu_seconds, resident_bytes
from bench.whole import drained, load_on, settings_of, users_of
from broker.topics import create_topics
from schemas.market import SEED_MARKETS
from store.markets.registry import list_market

MIB = 2**20
SETTLED_AFTER_S = 30.0
LOAD_PER_S, LOAD_S = 50.0, 5.0
BODIES, BODIES_A_MARKET = 2_048, 8
BESIDE_WORKERS = frozenset({"postgres", "broker", "api"})
IDLE_OTHERS, IN_ALL, BY_ZIPF = Bar(0.9), Bar(0.6), Bar(0.6)
READY, CORES = Bar(30, is_floor=False, unit="s"), Bar(0.3, is_floor=False, unit="cores")
SESSIONS, MEMORY = Bar(40, is_floor=False), Bar(1, is_floor=False, unit="MiB")
TRADES, WAIT = Bar(3, is_floor=False, unit="s"), Bar(1.5, is_floor=False, unit="s")
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Listed(NamedTuple):
    """Seconds from the listing of each market to its first answered order, and what orders elsewhere waited meanwhile."""

    trades_s: list[float]
    waits_s: list[float]


async def measure(exchange: ExchangeProcess, size: Size) -> Outcome:
    """On a new exchange: `equal_markets` with as many orders in each, then `zipf_markets` with orders by Zipf's law."""
    equal, by_zipf = size.equal_markets, size.zipf_markets
    await asyncio.sleep(min(SETTLED_AFTER_S, size.idle_s))
    resident = resident_bytes(exchange)
    users = await users_of(exchange, size.users, "markets")
    names = [spec.market for spec in SEED_MARKETS]
    await completed(exchange, users, size.peak_s)  # warm
    two = await _peaks(exchange, users, size)
    listed = await _list_up_to(exchange, users, names, equal)
    others_idle = await _peaks(exchange, users, size)
    in_all = await _peaks(exchange, users, size, orders=_equally(names))
    listed_more = await _list_up_to(exchange, users, names, by_zipf)
    zipf = await _peaks(exchange, users, size, orders=_by_zipf(names))
    rows = [
        _completed(f"{equal} markets, all orders in two", others_idle, two, IDLE_OTHERS),
        _completed(f"{equal} markets, orders in all", in_all, two, IN_ALL),
        _completed(f"{by_zipf} markets, orders by Zipf's law", zipf, two, BY_ZIPF),
        *await _idle(exchange, users, size, len(names), resident),
        *_listing(Listed(listed.trades_s + listed_more.trades_s, listed.waits_s + listed_more.waits_s)),
    ]
    measured = {"2 markets": two, f"{equal} markets, orders in all": in_all, f"{by_zipf} markets, Zipf": zipf}
    return Outcome(rows, notes=[f"S1: {name}: {peaks[-1].costs}" for name, peaks in measured.items()])


async def _peaks(exchange: ExchangeProcess, users: list[FundedUser], size: Size, **what: Any) -> list[Completed]:
    return [await completed(exchange, users, size.peak_s, **what) for _ in range(size.peaks)]


def _completed(what: str, ours: list[Completed], two: list[Completed], bar: Bar) -> Row:
    yardstick = ("2 markets alone", [peak.per_s for peak in two])
    return compared("S1", f"completed, {what}", "orders/s", [peak.per_s for peak in ours], yardstick, bar)


def _equally(names: list[str]) -> list[bytes]:
    return [body for name in names for body in random_orders(7, BODIES_A_MARKET, _reference_of(name))]


def _by_zipf(names: list[str]) -> list[bytes]:
    """The n-th market gets a share of 1/n."""
    draw = random.Random(7)  # noqa: S311 - a repeatable load, not a secret
    counts = Counter(draw.choices(names, [1 / rank for rank in range(1, len(names) + 1)], k=BODIES))
    bodies = [body for name, count in counts.items() for body in random_orders(7, count, _reference_of(name))]
    draw.shuffle(bodies)
    return bodies


def _reference_of(name: str) -> Reference:
    """Price and quantities of a market: a listed one has the specification of the first seed market."""
    return {name: REFERENCE.get(name, REFERENCE[SEED_MARKETS[0].market])}


async def _idle(
    exchange: ExchangeProcess, users: list[FundedUser], size: Size, count: int, two: dict[str, int]
) -> list[Row]:
    """S2, after a restart, with positions but without orders (P7 is what those hold). `two`: memory with two empty markets."""
    await _cancel_all_orders(exchange, users)
    await drained(exchange)
    await exchange.stop()
    began = time.monotonic()
    await exchange.start()
    ready_s = time.monotonic() - began
    await asyncio.sleep(min(SETTLED_AFTER_S, size.idle_s))
    resident, before, began = resident_bytes(exchange), cpu_seconds(exchange), time.monotonic()
    await asyncio.sleep(size.idle_s)
    took = time.monotonic() - began
    spent = {name: (used - before[name]) / took for name, used in cpu_seconds(exchange).items()}
    workers = sorted(spent.keys() - BESIDE_WORKERS)
    session = await asyncpg.connect(settings_of(exchange).database_url)
    sessions = await session.fetchval(_SESSIONS)
    await session.close()
    what, more = f"{count} idle markets", max(1, count - len(SEED_MARKETS))
    return [
        alone("S2", f"until ready, {count} markets", "s", [ready_s], READY),
        alone("S2", f"{what}: all workers", "cores", [sum(spent[name] for name in workers)], CORES),
        alone("S2", f"{what}: with broker, PostgreSQL and API", "cores", [sum(spent.values())]),
        alone("S2", f"{what}: sessions of PostgreSQL", "", [sessions], SESSIONS),
        *(
            alone("S2", f"memory a market, {name}", "MiB", [max(0, resident[name] - two[name]) / more / MIB], MEMORY)
            for name in workers
        ),
    ]


async def _cancel_all_orders(exchange: ExchangeProcess, users: list[FundedUser]) -> None:
    async with aiohttp.ClientSession(exchange.url) as session:
        for user in users:
            async with session.delete("/orders", headers={"Authorization": f"Bearer {user.token}"}) as answer:
                answer.raise_for_status()


def _listing(listed: Listed) -> list[Row]:
    return [
        alone("S3", "listed under load, until it trades: p50", "s", [percentile(listed.trades_s, 0.5)]),
        alone("S3", "listed under load, until it trades: worst", "s", [max(listed.trades_s)], TRADES),
        alone("S3", "an order elsewhere meanwhile: worst", "s", [max(listed.waits_s)], WAIT),
    ]


async def _list_up_to(exchange: ExchangeProcess, users: list[FundedUser], names: list[str], count: int) -> Listed:
    """List one market after another while orders are sent in the first two; their names are appended."""
    more = [f"M{number}-PERP" for number in range(len(names), count)]

    async def list_them() -> list[float]:
        return [await _list(exchange, users[0].token, name) for name in more]

    waits: list[float] = []
    async with order_waits(exchange, users[0].token, waits):
        trades_s = await _under_load(exchange, users, list_them())
    names += more
    await drained(exchange)
    return Listed(trades_s, waits)


async def _under_load(exchange: ExchangeProcess, users: list[FundedUser], work: Awaitable[list[float]]) -> list[float]:
    working = asyncio.ensure_future(work)
    while not working.done():
        await load_on(exchange, users, kind=Kind.OPEN, rate=LOAD_PER_S, seconds=LOAD_S, connections=16)
    return await working


async def _list(exchange: ExchangeProcess, token: str, name: str) -> float:
    """As `market add` does; the seconds from then until an order in it is answered."""
    settings = settings_of(exchange)
    await create_topics(settings.broker_url, [name])
    session = await asyncpg.connect(settings.database_url)
    try:
        await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=name), now())
    finally:
        await session.close()
    return await waited_s(exchange.url, token, name)
