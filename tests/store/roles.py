"""The roles of docs/operate/postgres_roles.sql in a test's database, and the address under which each of them comes."""

from pathlib import Path

import asyncpg

ROLES_SQL = Path(__file__).parents[2] / "docs" / "operate" / "postgres_roles.sql"


async def make_roles(dsn: str) -> None:
    """Run the file as the owner."""
    session = await asyncpg.connect(dsn)
    try:
        await session.execute(ROLES_SQL.read_text())
    finally:
        await session.close()


def as_role(dsn: str, role: str) -> str:
    """The same database under another name."""
    assert "://perpetua@" in dsn
    return dsn.replace("://perpetua@", f"://perpetua_{role}@")
