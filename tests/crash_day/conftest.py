"""A second database, for a second playing."""

from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture
def second_database(postgres_session: psycopg.Connection, postgres_dsn: str, template: str) -> Iterator[str]:
    """DSN of another fresh database."""
    name = "second_crash_day"
    postgres_session.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield postgres_dsn.replace("/perpetua?", f"/{name}?")
    postgres_session.execute(f"DROP DATABASE {name} WITH (FORCE)")
