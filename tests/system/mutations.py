"""Bugs put in on purpose into every process of a running tree, each by replacing one function of ours."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import agents.matching.snapshot_writer
import api.database
import api.server
import app.compose
import app.local.postgres
import store.markets.backlog
import tables.book_table
from agents.matching.app import MarketEngine
from bench.exchange_process import ROOT
from store.session.connect import Connection, Pool, connect_reader_pool, connect_writer
from store.submission.decisions import Decisions
from tables.book_table import take_snapshot

FAULTY = Path(__file__).with_name("faulty")
_begin, _await_with_deadline = MarketEngine.begin, api.database.Database.__init__
Place = tuple[object, str]


async def _begin_late(engine: MarketEngine) -> int | None:
    offset = await _begin(engine)
    return None if offset is None else offset + 1


async def _connect_carelessly(dsn: str, application_name: str) -> Connection:
    connection = await connect_writer(dsn, application_name)
    await connection.execute("SET synchronous_commit = off")
    return connection


async def _stop_listening_at_once(server: api.server.ApiServer) -> None:
    await server._close_listener()
    await server._runner.cleanup()


def _be_patient(database: api.database.Database, pool: Any) -> None:
    _await_with_deadline(database, pool, deadline_s=8.0)


async def _pool_without_hurry(dsn: str, application_name: str, **_: Any) -> Pool:
    return await connect_reader_pool(dsn, application_name, command_timeout_s=8.0)


MUTATIONS: dict[str, dict[Place, Any]] = {
    "an owner starts a record too late": {(MarketEngine, "begin"): _begin_late},
    "a snapshot names a later record than it covers": {
        (agents.matching.snapshot_writer, "take_snapshot"): lambda market, epoch, offset: take_snapshot(
            market, epoch, offset + 1
        )
    },
    "every snapshot has the same keys": {
        (tables.book_table, "_head_key"): lambda _: b"head/now",
        (tables.book_table, "_chunk_key"): lambda _, i: b"s/now/%d" % i,
    },
    "orders are answered before they are durable": {
        (app.compose, "connect_writer"): _connect_carelessly,
        (app.local.postgres, "SETTINGS"): {**app.local.postgres.SETTINGS, "wal_writer_delay": "10s"},
    },
    "client ids are not looked up": {(Decisions, "_repeated"): lambda *_: None},
    "orders are accepted however old the backlog": {(store.markets.backlog, "BACKLOG_AGE_MAX_S"): 1e9},
    "the API waits for a database that hangs": {
        (api.database.Database, "__init__"): _be_patient,
        (app.compose, "connect_reader_pool"): _pool_without_hurry,
    },
    "the API stops without a word": {(api.server.ApiServer, "stop"): _stop_listening_at_once},
}
"""The sentence is the bug; each is a set of attributes to replace."""


def environment_with(name: str) -> dict[str, str]:
    """What the processes of a tree are started with to have this bug."""
    return {"FAULT": name, "PYTHONPATH": os.pathsep.join((str(FAULTY), str(ROOT)))}


def put_in(name: str) -> None:
    """Have this process work with the bug; any error here ends the process, or the bug would be missing."""
    try:
        for (owner, attribute), value in MUTATIONS[name].items():
            setattr(owner, attribute, value)
    except BaseException:  # noqa: BLE001 - python would print it and continue
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
