"""Connections to PostgreSQL with the session settings of each use, and the errors that count as an outage.

Exception
└── StoreUnavailable      the database is unavailable, or the outcome of a commit is unknown
"""

from typing import TypeAlias

import asyncpg
import asyncpg.pool

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A dedicated session."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
"""A pool of sessions."""

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
"""A dedicated session, or one from a pool."""

CONNECT_TIMEOUT_S = 2.0
STATEMENT_BYTES_MAX = 32 * 1024
"""Longer statements would be parsed and planned at every call: asyncpg's own limit is 15 KiB, the projection's may be longer."""
_NO_PLAN_OF_AN_EMPTY_TABLE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

PLAN_FOR_ALL = (
    "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on;"
    " SET LOCAL enable_mergejoin = on"
)
"""For a writer's statement that reads a whole table: it must not use a plan made for an empty table."""


class StoreUnavailable(Exception):
    """PostgreSQL is unavailable. `outcome_is_unknown`: a commit was sent, and its outcome is unknown."""

    def __init__(self, *, outcome_is_unknown: bool) -> None:
        super().__init__(f"store unavailable, outcome {'unknown' if outcome_is_unknown else 'nothing written'}")
        self.outcome_is_unknown = outcome_is_unknown


async def connect_writer(dsn: str, application_name: str, *, command_timeout_s: float = 10.0) -> Connection:
    """A session for set-based statements: generic plans that always use the index, no time-out for idle transactions.

    Cached statements never expire: without it, each call would be parsed and planned again.
    """
    settings = _NO_PLAN_OF_AN_EMPTY_TABLE | {
        "application_name": application_name,
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": "0",  # COMMIT AND CHAIN leaves an open, snapshot-less transaction
        "jit": "off",
        "timezone": "UTC",
    }
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=STATEMENT_BYTES_MAX,
        server_settings=settings,
    )


async def connect_reader_pool(
    dsn: str, application_name: str, *, size_max: int = 8, command_timeout_s: float = 10.0
) -> Pool:
    """A pool for queries and small transactions; none may hold a snapshot for long. Connects when first used."""
    settings = {
        "application_name": application_name,
        "plan_cache_mode": "force_custom_plan",
        "idle_in_transaction_session_timeout": "10s",
        "statement_timeout": f"{int(command_timeout_s * 1000)}ms",
        "jit": "off",
        "timezone": "UTC",
    }
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size_max,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        server_settings=settings,
        init=_bound_transactions,
        reset=_keep_session,
    )


def is_outage(error: BaseException) -> bool:
    """Whether an error means that the server is lost, refuses or does not answer, not that a statement is wrong."""
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "closing" in str(error)  # the call came after the connection was lost
    return isinstance(error, OUTAGES)


OUTAGES = (
    OSError,  # refused, reset, no such socket
    TimeoutError,
    asyncpg.InternalClientError,  # bare, after a kill
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled, terminated
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # a standby, before it is promoted
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
"""The errors of a lost, refusing or silent server; a call after the loss raises InterfaceError, see `is_outage`."""


async def _bound_transactions(connection: Connection) -> None:
    if connection.get_server_version() >= (17,):
        await connection.execute("SET transaction_timeout = '30s'")


async def _keep_session(_connection: Connection) -> None:
    """Queries here leave no state in a session, so returning it to the pool needs no reset."""
