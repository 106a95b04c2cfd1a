"""P1: orders accepted durably, compared with a bare aiohttp 202, a lean one, and our own handler without the database.

And amends of these orders, compared with the orders themselves. No engine runs: what the API accepts counts as persisted once a second,
so that no market becomes stale (10 s) or overloaded (20,000 commands), and is deleted between rounds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from bench.load.job import Amend, Job, Kind, Report, run_load
from bench.load.order_bodies import random_amends, random_orders
from bench.load.users import FundedUser, make_users
from bench.result import Bar, Outcome, Row, compared, percentile
from bench.servers import api_server, bare_server, handler_only
from bench.sizes import Size
from schemas.ids import public_order_id, seq_of_order_key

SECRET = "the secret of the bench, which is long enough"  # noqa: S105 - of a database that lives for one run
BARS = {32: Bar(0.4), 128: Bar(0.6)}
AMEND_BAR = Bar(0.9)
CATCH_UP_EVERY_S = 1.0
LOAD_IS_SEEN_S = 0.6  # the API asks for its load four times a second
_CLEAR = """
TRUNCATE orders, amends, outbox, positions;
"""
_CATCH_UP = "UPDATE progress p SET command_seq = c.command_seq FROM counters c WHERE c.market_id = p.market_id"
_PLACED = "SELECT m.name, o.order_id, o.user_id FROM orders o JOIN markets m USING (market_id) ORDER BY o.created_at, o.order_id"


async def measure(dsn: str, folder: Path, size: Size) -> Outcome:
    """Rounds of all servers in turn, for each number of clients."""
    users = await make_users(dsn, SECRET, size.users, "acceptance")
    async with (
        bare_server(folder, "plain") as plain,
        bare_server(folder, "lean") as lean,
        handler_only(folder, SECRET) as handler,
        api_server(folder, dsn, SECRET) as ours,
    ):
        ports = {"plain": plain, "lean": lean, "handler": handler, "ours": ours}
        await _round(dsn, ports, users, size, size.acceptance_clients[0])  # warm: plans, caches, branches
        rows, notes = [], []
        for clients in size.acceptance_clients:
            rounds = [await _round(dsn, ports, users, size, clients) for _ in range(size.rounds)]
            rows += _rows(clients, rounds)
            notes.append(_note(clients, [each["ours"] for each in rounds]))
    return Outcome(rows, notes=notes)


async def _round(
    dsn: str, ports: dict[str, int], users: list[FundedUser], size: Size, clients: int
) -> dict[str, Report]:
    await clear(dsn)
    async with _catching_up(dsn):
        return await _loads(dsn, ports, users, size, clients)


async def _loads(
    dsn: str, ports: dict[str, int], users: list[FundedUser], size: Size, clients: int
) -> dict[str, Report]:
    reports, tokens = {}, [funded.token for funded in users]
    for name, port in ports.items():
        job = Job("127.0.0.1", port, Kind.CLOSED, size.acceptance_s, clients, tokens, random_orders(clients, 1_000))
        report = await run_load(job)
        assert set(report.statuses) == {"order 202"}, (name, report.statuses)
        reports[name] = report
    amends = await run_load(msgspec.structs.replace(job, amends=await _amends(dsn, users)))
    assert set(amends.statuses) == {"amend 202"}, (amends.statuses, amends.codes)
    return reports | {"amends": amends}


async def _amends(dsn: str, users: list[FundedUser]) -> list[Amend]:
    """An amend of each order that our server has just accepted, oldest first."""
    place_of = {funded.user: place for place, funded in enumerate(users)}
    session = await asyncpg.connect(dsn)
    try:
        rows = await session.fetch(_PLACED)
    finally:
        await session.close()
    bodies = {name: random_amends(name) for name in {row["name"] for row in rows}}
    return [
        Amend(
            public_order_id(row["name"], seq_of_order_key(row["order_id"])),
            place_of[row["user_id"]],
            next(bodies[row["name"]]),
        )
        for row in rows
    ]


@asynccontextmanager
async def _catching_up(dsn: str) -> AsyncIterator[None]:
    """In the block, what was accepted counts as persisted a second later."""
    session = await asyncpg.connect(dsn)

    async def catch_up() -> None:
        while True:
            await asyncio.sleep(CATCH_UP_EVERY_S)
            await session.execute(_CATCH_UP)

    catching_up = asyncio.create_task(catch_up())
    try:
        yield
    finally:
        catching_up.cancel()
        await asyncio.wait([catching_up])
        await session.close()


async def clear(dsn: str) -> None:
    """Delete all orders, commands and margin sums, and wait until the API sees it."""
    session = await asyncpg.connect(dsn)
    try:
        await session.execute(_CLEAR)
        await session.execute(_CATCH_UP)
    finally:
        await session.close()
    await asyncio.sleep(LOAD_IS_SEEN_S)


def _rows(clients: int, rounds: list[dict[str, Report]]) -> list[Row]:
    rates = {
        name: [(each[name].accepted or each[name].amended) / each[name].seconds for each in rounds]
        for name in rounds[0]
    }
    what = f"durable acceptance, {clients} clients"
    return [
        compared("P1", what, "orders/s", rates["ours"], ("bare aiohttp 202", rates["plain"]), BARS.get(clients)),
        compared("P1", what, "orders/s", rates["ours"], ("the same on uvloop, nothing decoded", rates["lean"])),
        compared("P1", what, "orders/s", rates["ours"], ("our handler, no database", rates["handler"])),
        compared(
            *("P1", f"amends accepted, {clients} clients", "amends/s"),
            rates["amends"],
            ("orders accepted", rates["ours"]),
            AMEND_BAR,
        ),
    ]


def _note(clients: int, reports: list[Report]) -> str:
    latencies = [each for report in reports for each in report.latencies_ms["order 202"]]
    percentiles = ", ".join(f"p{share:g} {percentile(latencies, share / 100):.1f} ms" for share in (50, 90, 99))
    return f"P1: answer to an order with {clients} clients: {percentiles}."
