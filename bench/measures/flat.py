"""P8, the other half: acceptance with 100,000 accounts compared with 256. A book of 100,000 orders is P4's and P7's."""

from pathlib import Path

import asyncpg

from api.access.tokens import Tokens
from app.operator import now
from bench.load.job import Job, Kind, run_load
from bench.load.order_bodies import random_orders
from bench.load.users import make_users
from bench.measures.acceptance import SECRET, clear
from bench.peak import CLIENTS
from bench.result import Bar, Row, compared
from bench.servers import api_server
from bench.sizes import Size

FLAT = Bar(0.9)
ACTIVE = 5_000
_ACCOUNTS = """
WITH fresh AS (
  INSERT INTO users (email, password_hash, created_at)
  SELECT 'crowd-' || n || '@bench.example', '!', now() FROM generate_series(1, $1::int) n RETURNING user_id),
funded AS (INSERT INTO accounts (user_id, wallet) SELECT user_id, 10000000000 FROM fresh)
SELECT user_id FROM fresh
"""


async def measure(dsn: str, folder: Path, size: Size) -> Row:
    """Acceptance with few accounts, then with many of which 5,000 trade; the crowd's money has no ledger, so no audit."""
    few = [funded.token for funded in await make_users(dsn, SECRET, size.users, "few")]
    tokens, session = Tokens(SECRET, now), await asyncpg.connect(dsn)
    async with api_server(folder, dsn, SECRET) as port:
        small = [await _accepted(dsn, port, few, size) for _ in range(size.rounds)]
        users = [row[0] for row in await session.fetch(_ACCOUNTS, size.crowd)]
        await session.execute("ANALYZE")
        await session.close()
        active = [tokens.issue(user) for user in users[:: max(1, size.crowd // ACTIVE)]]
        large = [await _accepted(dsn, port, active, size) for _ in range(size.rounds)]
    baseline = (f"{size.users} accounts", small)
    return compared("P8", f"durable acceptance, {size.crowd:,} accounts", "orders/s", large, baseline, FLAT)


async def _accepted(dsn: str, port: int, tokens: list[str], size: Size) -> float:
    await clear(dsn)
    job = Job("127.0.0.1", port, Kind.CLOSED, size.acceptance_s, CLIENTS, tokens, random_orders(5, 1_000))
    report = await run_load(job)
    assert set(report.statuses) == {"order 202"}, report.statuses
    return report.accepted / report.seconds
