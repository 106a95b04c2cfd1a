"""Indexes of tables that may be large: built, and dropped, while writers continue, outside any transaction, one file each."""

from pathlib import Path
from typing import TypeAlias

import psycopg

Session: TypeAlias = "psycopg.Connection[tuple[object, ...]]"
"""A synchronous session in autocommit mode."""

INDEXES = Path(__file__).parent / "migrations" / "indexes"
RETIRED = ("positions_open",)
"""Indexes of earlier releases that others have replaced. They are dropped last, so that no query is ever without an index."""
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"


def index_files() -> list[Path]:
    """The files, each named after the index it builds."""
    return sorted(INDEXES.glob("*.sql"))


def build_missing_indexes(session: Session) -> None:
    """Build each missing index, while others read and write its table.

    A build waits for every transaction that started before it. An interrupted build leaves an invalid index: it is dropped
    first.
    """
    for path in index_files():
        found = session.execute(_IS_VALID, (path.stem,)).fetchone()
        if found == (False,):
            session.execute(f"DROP INDEX CONCURRENTLY {path.stem}")
        if found != (True,):
            session.execute(path.read_text())


def drop_retired_indexes(session: Session) -> None:
    """Drop what the release before may still read: it then reads more rows, with the same result."""
    for name in RETIRED:
        session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
