"""The stream's workers, each under its own PostgreSQL role: a liquidation from beginning to end, and nothing besides."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from agents.auditor import Auditor
from agents.clock import Clock
from agents.liquidator import Liquidator
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.rebuild import check_broker
from agents.relay import Relay
from schemas.commands import SetIndex
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.units import Nanos
from store.audit.audit import audit
from store.command_log.commands import append_command
from store.command_log.outbox import prune, read_states, rewind
from store.command_log.snapshots import StoredSnapshot, forget_old, save_snapshot
from store.markets.candles import roll_candles
from store.markets.halts import halt
from store.markets.rests import end_rests, note_rests
from store.queries.market_data.public_fills import newest_public_fill
from store.session.connect import Session
from store.session.group_members import (
    GroupMember,
    SeenMember,
    claim_member,
    hide_member,
    hold_number,
    keep_members,
    read_others,
    show_member,
)
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.roles import as_role, make_roles

WORKERS = ("relay", "engine", "projection", "publisher", "clock", "liquidator")
FORBIDDEN = {
    "projection": [
        "SELECT password_hash FROM users",
        "SELECT email FROM users",
        "SELECT secret_hash FROM api_keys",
        "INSERT INTO outbox SELECT * FROM outbox",
        "UPDATE counters SET command_seq = 1",
        "UPDATE fills SET price = 1",
        "DELETE FROM ledger",
        "UPDATE users SET role = 'admin'",
    ],
    "engine": [
        "SELECT email FROM users",
        "SELECT wallet FROM accounts",
        "UPDATE progress SET command_seq = 1",
        "DELETE FROM engine_snapshots",
        "INSERT INTO outbox SELECT * FROM outbox",
    ],
    "publisher": [
        "SELECT email FROM users",
        "SELECT wallet FROM accounts",
        "INSERT INTO fills SELECT * FROM fills",
        "UPDATE markets SET status = 'HALTED'",
        "INSERT INTO outbox SELECT * FROM outbox",
    ],
    "relay": [
        "SELECT email FROM users",
        "UPDATE outbox SET payload = ''",
        "SELECT user_id FROM orders",
        "UPDATE relayed_records SET sent_at = now()",
        "INSERT INTO outbox SELECT * FROM outbox",
        "UPDATE accounts SET wallet = 1",
    ],
    "clock": ["SELECT email FROM users", "UPDATE orders SET status = 'EXPIRED'", "DELETE FROM outbox"],
    "liquidator": [
        "SELECT password_hash FROM users",
        "SELECT secret_hash FROM api_keys",
        "UPDATE accounts SET wallet = 1",
        "INSERT INTO ledger (account, type, amount, at) VALUES (1, 'DEPOSIT', 1, now())",
        "UPDATE positions SET lots = 0",
        "UPDATE fills SET price = 1",
    ],
    "reader": [
        "SELECT email FROM users",
        "SELECT password_hash FROM users",
        "SELECT secret_hash FROM api_keys",
        "SELECT * FROM idempotency_keys",
        "UPDATE accounts SET wallet = 1",
        "INSERT INTO outbox SELECT * FROM outbox",
        "DELETE FROM audit_runs",
        "SELECT nextval('transfers')",
        "CREATE TABLE mine (x int)",
    ],
}


async def test_a_liquidation_goes_through_with_every_worker_under_its_role(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Orders, a ruinous mark, a take-over and an audit: no worker lacks a right, and the reader finds the books in order."""
    await make_roles(database)
    async with stream_on(broker, database, tmp_path) as stream:
        of = {role: replace(stream.settings, dsn=as_role(database, role)) for role in WORKERS}
        for settings in of.values():
            await check_broker(settings, "this cluster")
        ann, bob, *_ = stream.users
        parts = (
            engine_unit(stream.market, of["engine"]),
            projection_unit(stream.market, of["projection"]),
            Relay(stream.market, of["relay"]),
        )
        ticked = (
            "SELECT count(*) FROM outbox JOIN markets USING (market_id) WHERE name = 'BTC-PERP' AND command_seq > 1"
        )
        async with hosted(*parts, Clock(of["clock"]), Liquidator(of["liquidator"]), Auditor(of["liquidator"])):
            bid = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "300", "60000")
            hit = OrderRequest(stream.market, Side.SELL, OrderType.LIMIT, "300", "60000")
            rest = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "1", "59000")
            await stream.submit([SubmitOrder(ann, bid), SubmitOrder(bob, hit), SubmitOrder(ann, rest)])
            await stream.drained()
            await stream.amend_live(1)
            await stream.drained()
            await append_command(stream.session, stream.market, SetIndex(BEGAN_AT, Nanos(56_650 * 10**9)))
            ended = "SELECT 1 FROM liquidations WHERE kind = 'LIQUIDATION' AND ended_at IS NOT NULL"
            assert await eventually(lambda: stream.session.fetchval(ended))
            for query in ("SELECT count(*) FROM audit_runs", ticked):
                assert await eventually(partial(stream.session.fetchval, query))
        parts = (
            engine_unit(stream.market, of["engine"]),
            projection_unit(stream.market, of["projection"]),
            Relay(stream.market, of["relay"]),
        )
        async with hosted(*parts):
            await stream.drained()
        reader = await asyncpg.connect(as_role(database, "reader"))
        assert await audit(reader) == []
        await reader.close()


async def test_what_a_worker_does_once_in_a_while_is_granted_too(database: str) -> None:
    """Pruning, snapshots, a rewind, candles, old fills and the halt of a market: statements that a short run does not reach."""
    await make_roles(database)
    sessions = {role: await asyncpg.connect(as_role(database, role)) for role in WORKERS}
    await save_snapshot(sessions["engine"], 1, StoredSnapshot(1, 1, "hash", "hash", b""), BEGAN_AT)
    await rewind(sessions["engine"], "BTC-PERP", 1)
    await read_states(sessions["relay"], [1])
    await note_rests(sessions["relay"], "relay", {"BTC-PERP": "a test"})
    await end_rests(sessions["relay"], "relay", ["BTC-PERP"])
    await prune(sessions["relay"], 1)
    await forget_old(sessions["relay"], 1)
    assert await newest_public_fill(sessions["publisher"], "BTC-PERP") == 0
    assert await roll_candles(sessions["liquidator"]) == 0
    for role in ("engine", "projection", "publisher"):
        await _take_over(sessions[role], GroupMember(f"{role}-main", "a"))
    for role in ("relay", "engine", "projection"):
        await halt(sessions[role], "BTC-PERP", "a test")
    for session in sessions.values():
        await session.close()


async def _take_over(session: Session, member: GroupMember) -> None:
    """Show a member, twice, see it gone, and remove and hide it."""
    first = await hold_number(session)
    await show_member(session, first, member)
    assert await keep_members(session, first + 1, [member]) == {member}
    assert await read_others(session, first, [member.group]) == [SeenMember(member, True, True)]
    assert await claim_member(session, member)
    await hide_member(session, member)


@pytest.mark.parametrize("role", FORBIDDEN)
async def test_no_role_does_what_is_not_its_business(database: str, role: str) -> None:
    """Names and secrets of users, money, and the work of others are closed to every role that does not need them."""
    await make_roles(database)
    session = await asyncpg.connect(as_role(database, role))
    for statement in FORBIDDEN[role]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement)
    await session.close()
