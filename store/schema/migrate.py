"""Bringing a database to the newest schema: plain SQL files, run in order by Alembic under an advisory lock.

A change of a table waits for every transaction that reads it, a dump for example, and whoever comes later waits behind the
change: the migration gives way after a moment, and tries again.

An index of a table that may be large is not built there, because that would stop its writers until the end of the
transaction: `store.schema.large_indexes` builds it beside them.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from store.schema.large_indexes import Session, build_missing_indexes
from store.schema.newer_database import DatabaseIsNewer

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_370_001  # any constant: parallel runs wait for each other on it
_ASK_AGAIN_S = 0.05
_OUTAGES = ("08", "53", "57")  # classes of SQLSTATE: connection lost, no room for one more, shutting down
_LOCKS_WITHIN = "400ms"
"""Below PostgreSQL's `deadlock_timeout`: where locks cross, it is the migration that gives way."""
_TRY_AGAIN_S = 1.0
_GIVES_WAY_TO = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_FILE_NAME = re.compile(r"(\d{4}[a-z]?)_\w+\.sql")

log = logging.getLogger(__name__)


def migrate(dsn: str) -> str:
    """Run every migration the database lacks, in one transaction, then build the indexes it lacks; the newest in force.

    Parallel calls wait and then find nothing to do. Raises ConnectionError when the server is away,
    DatabaseIsNewer when a later release has been here.
    """
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    with _an_outage_told(), psycopg.connect(dsn, autocommit=True) as session:
        _await_turn(session)
        while (newest := _upgraded(engine)) is None:
            time.sleep(_TRY_AGAIN_S)
        build_missing_indexes(session)
    return newest


def migration_files() -> list[Path]:
    """The SQL files in the order they run, by the number their name begins with."""
    return sorted(path for path in (MIGRATIONS / "sql").iterdir() if _FILE_NAME.fullmatch(path.name))


@contextmanager
def _an_outage_told() -> Iterator[None]:
    """One error for a server that is away, whichever of the two drivers has seen it."""
    try:
        yield
    except (psycopg.OperationalError, OperationalError) as error:
        cause = error.orig if isinstance(error, OperationalError) else error
        state = getattr(cause, "sqlstate", None)
        if state is None or state.startswith(_OUTAGES):
            raise ConnectionError(" ".join(str(cause).split())) from error
        raise


def _await_turn(session: Session) -> None:
    """Take the lock until the session ends.

    Asked for again and again: a statement that waits has a snapshot, and the building of an index waits for it in turn.
    """
    while session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
        time.sleep(_ASK_AGAIN_S)


def _upgraded(engine: Engine) -> str | None:
    """All or nothing; the newest migration in force, None where it could not have its locks at once."""
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCKS_WITHIN}'")
            return _upgrade(connection)
    except OperationalError as error:
        if not isinstance(error.orig, _GIVES_WAY_TO):
            raise
        log.warning("the tables are in use, by a dump for example: tried again until they are free")
        return None


def _upgrade(connection: Connection) -> str:
    directory = ScriptDirectory(str(MIGRATIONS))
    directory.revision_map = RevisionMap(lambda: _scripts(connection))

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return directory._upgrade_revs("head", revision)  # what Alembic's own `upgrade` command calls

    context = MigrationContext.configure(connection, opts={"fn": steps})
    before = context.get_current_revision()
    if before is not None and before not in {path.name.split("_", 1)[0] for path in migration_files()}:
        raise DatabaseIsNewer(before)
    context.run_migrations()
    return str(context.get_current_revision())


def _scripts(connection: Connection) -> Iterator[Script]:
    """One Alembic revision for each file, each behind the one before it."""
    previous: str | None = None
    for path in migration_files():
        revision = path.name.split("_", 1)[0]
        module = _revision_module(connection, path, revision, previous)
        yield Script(module, revision, str(path))
        previous = revision


def _revision_module(connection: Connection, path: Path, revision: str, previous: str | None) -> ModuleType:
    def upgrade(**_: object) -> None:
        connection.exec_driver_sql(path.read_text(), execution_options={"no_parameters": True})

    module = ModuleType(f"migration_{revision}", path.name)
    vars(module).update(revision=revision, down_revision=previous, upgrade=upgrade)
    return module
