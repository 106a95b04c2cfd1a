"""Migrates a database to the newest schema: plain SQL files, run in order, in one transaction under an advisory lock.

A change of a table waits for every transaction that reads it, such as a dump, and later statements queue after the change.
So a migration gives up after a short lock time-out, and tries again.

An index of a table that may be large is not built here, because that would stop its writers until the end of the
transaction: `store.schema.large_indexes` builds it while they continue.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from store.schema.large_indexes import Session, build_missing_indexes, drop_retired_indexes
from store.schema.newer_database import DatabaseIsNewer

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_370_001  # any constant: parallel runs wait for each other on it
_ASK_AGAIN_S = 0.05
_OUTAGES = ("08", "53", "57")  # classes of SQLSTATE: connection lost, insufficient resources, shutting down
_LOCK_TIMEOUT = "400ms"
"""Below PostgreSQL's `deadlock_timeout`: in a deadlock, it is the migration that gives way."""
_TRY_AGAIN_S = 1.0
_GIVES_WAY_TO = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_FILE_NAME = re.compile(r"(\d{4}[a-z]?)_\w+\.sql")

_CREATE_VERSION = """
CREATE TABLE IF NOT EXISTS alembic_version (
  version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
)
"""
"""One row: the newest migration applied. Alembic created this table in earlier releases, which still read it by this name."""
_READ_VERSION = "SELECT version_num FROM alembic_version"
_FIRST_VERSION = "INSERT INTO alembic_version (version_num) VALUES (%s)"
_NEXT_VERSION = "UPDATE alembic_version SET version_num = %s"

log = logging.getLogger(__name__)


def migrate(dsn: str) -> str:
    """Run every missing migration, in one transaction, then build missing indexes and drop retired ones; returns the newest.

    Parallel calls wait and then find nothing to do. Raises ConnectionError when the server is unavailable,
    DatabaseIsNewer when a later release has migrated the database.
    """
    with _outage_as_connection_error(), psycopg.connect(dsn, autocommit=True) as session:
        _take_lock(session)
        while (newest := _upgraded(session)) is None:
            time.sleep(_TRY_AGAIN_S)
        build_missing_indexes(session)
        drop_retired_indexes(session)
    return newest


def migration_files() -> list[Path]:
    """The SQL files in the order they run, by the number their name starts with."""
    return sorted(path for path in (MIGRATIONS / "sql").iterdir() if _FILE_NAME.fullmatch(path.name))


@contextmanager
def _outage_as_connection_error() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate is None or error.sqlstate.startswith(_OUTAGES):
            raise ConnectionError(" ".join(str(error).split())) from error
        raise


def _take_lock(session: Session) -> None:
    """Hold the lock until the session ends.

    It is polled: a waiting statement would hold a snapshot, and an index build waits for every snapshot.
    """
    while session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
        time.sleep(_ASK_AGAIN_S)


def _upgraded(session: Session) -> str | None:
    """Run the migrations, all or none; returns the newest, None when a table could not be locked in time."""
    try:
        with session.transaction():
            session.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            return _upgrade(session)
    except _GIVES_WAY_TO:
        log.warning("the tables are in use, for example by a dump: retrying until they are free")
        return None


def _upgrade(session: Session) -> str:
    session.execute(_CREATE_VERSION)
    files = {path.name.split("_", 1)[0]: path for path in migration_files()}
    row = session.execute(_READ_VERSION).fetchone()
    version = None if row is None else str(row[0])
    if version is not None and version not in files:
        raise DatabaseIsNewer(version)
    for number, path in files.items():
        if version is None or number > version:
            session.execute(path.read_text())
            session.execute(_FIRST_VERSION if version is None else _NEXT_VERSION, (number,))
            version = number
    assert version is not None, "there is at least one migration"  # noqa: S101 - a bug, not a user's mistake
    return version
