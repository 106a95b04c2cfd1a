"""docs/operate/postgres_roles.sql run again, as an operator does after a migration, with processes at work."""

import asyncio

from app.local.postgres import program
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.store.roles import ROLES_SQL, as_role, make_roles

_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_AT_WORK = {
    "api": "UPDATE accounts SET wallet = 1 WHERE false",
    "relay": "DELETE FROM outbox WHERE false",
    "projection": "UPDATE progress SET event_seq = 1 WHERE false",
    "clock": "UPDATE counters SET command_seq = 1 WHERE false",
    "liquidator": "UPDATE liquidations SET ended_at = NULL WHERE false",
}


async def test_no_process_is_without_its_rights_while_they_are_granted_again(database: str) -> None:
    """Blocked halfway by another grant, psql has revoked nothing yet; and it succeeds afterwards."""
    await make_roles(database)
    async with session_to(database) as session, session_to(database) as administrator:
        changing = administrator.transaction()
        await changing.start()
        await administrator.execute("GRANT perpetua_reader TO perpetua_engine")
        psql = await asyncio.create_subprocess_exec(
            program("psql"), database, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(ROLES_SQL)
        )
        await eventually(lambda: session.fetchval(_WAITS))
        for role, statement in _AT_WORK.items():
            async with session_to(as_role(database, role)) as at_work:
                await at_work.execute(statement)
        await changing.rollback()
        assert await psql.wait() == 0
