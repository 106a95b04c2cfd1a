"""Indexes of tables that may be large: built while writers continue, outside any transaction, one file each."""

from pathlib import Path
from typing import TypeAlias

import psycopg

Session: TypeAlias = "psycopg.Connection[tuple[object, ...]]"
"""A synchronous session in autocommit mode."""

INDEXES = Path(__file__).parent / "migrations" / "indexes"
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
