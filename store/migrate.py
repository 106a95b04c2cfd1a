"""Bringing a database to the newest schema: plain SQL files, run in order by Alembic under an advisory lock."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_370_001  # any constant: parallel runs wait for each other on it
_FILE_NAME = re.compile(r"(\d{4}[a-z]?)_\w+\.sql")


def migrate(dsn: str) -> None:
    """Run every migration the database lacks, in one transaction; parallel calls wait and then find nothing to do."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _upgrade(connection)


def migration_files() -> list[Path]:
    """The SQL files in the order they run, by the number their name begins with."""
    return sorted(path for path in (MIGRATIONS / "sql").iterdir() if _FILE_NAME.fullmatch(path.name))


def _upgrade(connection: Connection) -> None:
    directory = ScriptDirectory(str(MIGRATIONS))
    directory.revision_map = RevisionMap(lambda: _scripts(connection))

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return directory._upgrade_revs("head", revision)  # what Alembic's own `upgrade` command calls

    MigrationContext.configure(connection, opts={"fn": steps}).run_migrations()


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
