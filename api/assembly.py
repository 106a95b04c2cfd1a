"""The parts of the REST face put together from a database address, a secret and a clock."""

from collections.abc import Callable

from api.database import Database
from api.load_poller import LoadPoller
from api.passwords import Passwords
from api.services import ApiSettings, Services
from api.submission_queue import SubmissionQueue
from api.tokens import Tokens
from schemas.units import Timestamp
from store.connect import Connection, connect_reader_pool, connect_writer
from store.markets import MarketRegistry
from store.submission import Submission

POOL_SIZE = 8
STATEMENT_TIMEOUT_S = 1.5
"""A statement that takes longer is an outage: its client is answered 503 within two seconds."""
BATCH_STATEMENT_TIMEOUT_S = 5.0


async def assemble(dsn: str, secret: str, now: Callable[[], Timestamp], settings: ApiSettings) -> Services:
    """Everything that `create_app` needs. Connects when first used, so that it starts beside an absent database."""

    async def connect() -> Connection:
        return await connect_writer(dsn, "api submission", command_timeout_s=BATCH_STATEMENT_TIMEOUT_S)

    pool = await connect_reader_pool(dsn, "api", size_max=POOL_SIZE, command_timeout_s=STATEMENT_TIMEOUT_S)
    database, registry = Database(pool), MarketRegistry()
    load = LoadPoller(database, registry, now)
    return Services(
        settings=settings,
        database=database,
        submissions=SubmissionQueue(Submission(connect, registry), now, lambda: load.current),
        load=load,
        registry=registry,
        tokens=Tokens(secret, now),
        passwords=Passwords(),
        now=now,
    )
