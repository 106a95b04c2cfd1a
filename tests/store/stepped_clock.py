"""PostgreSQL's clock in a test database: stepped by any time, by replacing the one function that reads it (migration 0024)."""

from datetime import timedelta

from store.session.connect import Session

_CLOCK = "CREATE OR REPLACE FUNCTION exchange_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT {} $$"
WITHOUT_CLOCK = _CLOCK.format("NULL::timestamptz")
"""Nothing to compare with, so that a test may give every command the time it likes."""


async def step_clock(session: Session, by: timedelta = timedelta(0)) -> None:
    """Let the database's clock be the real one plus `by`."""
    await session.execute(_CLOCK.format(f"clock_timestamp() + interval '{by.total_seconds()} s'"))
