"""P8, the other half: what an order costs does not depend on how much there is of everything else.

Acceptance with 100,000 accounts compared with 256, and the whole tree with 50 markets compared with its two. A book of 100,000 orders
is P4's and P7's.
"""

from pathlib import Path

import asyncpg
import msgspec

from api.access.tokens import Tokens
from app.operator import now
from bench.exchange_process import ExchangeProcess
from bench.load.job import Job, Kind, run_load
from bench.load.order_bodies import random_orders
from bench.load.users import make_users
from bench.measures.acceptance import SECRET, clear
from bench.peak import CLIENTS, completed
from bench.result import Bar, Outcome, Row, compared
from bench.servers import api_server
from bench.sizes import Size
from bench.whole import drained, settings_of, users_of
from broker.topics import create_topics
from schemas.market import SEED_MARKETS
from store.markets.registry import list_market

FLAT = Bar(0.9)
ACTIVE = 5_000
_ACCOUNTS = """
WITH fresh AS (
  INSERT INTO users (email, password_hash, created_at)
  SELECT 'crowd-' || n || '@bench.example', '!', now() FROM generate_series(1, $1::int) n RETURNING user_id),
funded AS (INSERT INTO accounts (user_id, wallet) SELECT user_id, 10000000000 FROM fresh)
SELECT user_id FROM fresh
"""


async def accounts(dsn: str, folder: Path, size: Size, count: int) -> Row:
    """Acceptance with few accounts, then with many of which 5,000 trade; the crowd's money has no ledger, so no audit."""
    few = [funded.token for funded in await make_users(dsn, SECRET, size.users, "few")]
    tokens, session = Tokens(SECRET, now), await asyncpg.connect(dsn)
    async with api_server(folder, dsn, SECRET) as port:
        small = [await _accepted(dsn, port, few, size) for _ in range(size.rounds)]
        users = [row[0] for row in await session.fetch(_ACCOUNTS, count)]
        await session.execute("ANALYZE")
        await session.close()
        active = [tokens.issue(user) for user in users[:: max(1, count // ACTIVE)]]
        large = [await _accepted(dsn, port, active, size) for _ in range(size.rounds)]
    baseline = (f"{size.users} accounts", small)
    return compared("P8", f"durable acceptance, {count:,} accounts", "orders/s", large, baseline, FLAT)


async def markets(exchange: ExchangeProcess, size: Size, count: int) -> Outcome:
    """Completion with the two seed markets alone, with more listed in addition, and with orders spread over all of them.

    docs/bars.md asks for no ratio here. An order alone in its record costs every stage what twenty together cost, so the last row
    says what it costs that nothing is shared.
    """
    users = await users_of(exchange, size.users, "markets")
    await completed(exchange, users, size.peak_s)  # warm
    few = await completed(exchange, users, size.peak_s)
    names = await _list_more(exchange, count - len(SEED_MARKETS))
    await drained(exchange)
    baseline = await completed(exchange, users, size.peak_s)
    spread = [body.replace(b"BTC-PERP", name.encode()) for name in names for body in random_orders(7, 8)]
    over_all = await completed(exchange, users, size.peak_s, orders=spread)
    yardstick = ("2 markets alone", [few.per_s])
    what = f"orders completed, {count} markets"
    rows = [
        compared("P8", f"{what}, all orders in two", "orders/s", [baseline.per_s], yardstick),
        compared("P8", f"{what}, orders in all", "orders/s", [over_all.per_s], yardstick),
    ]
    notes = [
        f"P8: {name}: {each.costs}"
        for name, each in (("2 markets", few), (f"{count} markets, orders in all", over_all))
    ]
    return Outcome(rows, notes=notes)


async def _accepted(dsn: str, port: int, tokens: list[str], size: Size) -> float:
    await clear(dsn)
    job = Job("127.0.0.1", port, Kind.CLOSED, size.acceptance_s, CLIENTS, tokens, random_orders(5, 1_000))
    report = await run_load(job)
    assert set(report.statuses) == {"order 202"}, report.statuses
    return report.accepted / report.seconds


async def _list_more(exchange: ExchangeProcess, count: int) -> list[str]:
    settings = settings_of(exchange)
    names = [f"M{number}-PERP" for number in range(count)]
    await create_topics(settings.broker_url, names)
    session = await asyncpg.connect(settings.database_url)
    try:
        for name in names:
            await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=name), now())
    finally:
        await session.close()
    return ["BTC-PERP", *names]
