"""PostgreSQL is restored from its past while the log continues: the market is halted, and continues with a rebuild."""

from pathlib import Path

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.rebuild import MovedMarket, rebuild
from agents.relay import Relay
from agents.verify import verify
from schemas.commands import SetStatus
from schemas.market import MarketStatus
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from store.command_log.broker_identity import claim_cluster
from store.command_log.commands import append_command
from store.markets.halts import read_halted
from store.session.connect import Connection
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually

PARTS = (Relay, engine_unit, projection_unit)
TABLES = (
    *("orders", "fills", "ledger", "accounts", "positions", "outbox"),
    *("counters", "relay_cursors", "progress", "engine_snapshots", "markets"),
    *("relayed_records", "persisted_records"),
)


async def keep_a_copy(session: Connection) -> None:
    """What a backup would hold now."""
    for table in TABLES:
        await session.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")


async def restore_the_copy(session: Connection) -> None:
    """Every table as it was then, and nothing else."""
    async with session.transaction():
        await session.execute("SET LOCAL session_replication_role = replica")  # the order of the tables is no matter
        for table in TABLES:
            await session.execute(f"DELETE FROM {table}")
            await session.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}")


async def an_order(stream: Stream) -> object:
    """The answer to one more order."""
    request = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.5", "60000")
    return (await stream.submit([SubmitOrder(stream.users[0], request)]))[0]


async def is_halted(stream: Stream) -> bool:
    """Whether the exchange itself has halted the market."""
    return stream.market in await read_halted(stream.session)


async def test_a_database_restored_from_its_past_halts_the_market_until_it_is_rebuilt(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """New orders took the sequences of lost ones: no event of the lost ones reaches a row, orders are refused."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.trade(20)
            await stream.drained()
            await keep_a_copy(stream.session)
            await stream.trade(20)
            await stream.drained()
        await restore_the_copy(stream.session)
        assert (await stream.progress()).command_seq == 21
        await stream.trade(30)  # commands 22 to 51: the log has others up to 41

        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await eventually(lambda: is_halted(stream))
            refused = await an_order(stream)
            assert isinstance(refused, Refused)
            assert refused.code is ErrorCode.MARKET_NOT_ACTIVE
        assert (await stream.progress()).command_seq == 21
        assert (await verify(stream.settings, stream.market)).differences_found > 0

        await stream.move_to(empty_broker)
        await claim_cluster(stream.session, "the distrusted one")
        (moved,) = await rebuild(stream.settings, [stream.market], "another")
        assert moved == MovedMarket(stream.market, 2, moved.after_command)
        assert isinstance(await an_order(stream), Refused), "it waits for the operator"
        await append_command(stream.session, stream.market, SetStatus(BEGAN_AT, MarketStatus.ACTIVE))
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.drained()
            assert not isinstance(await an_order(stream), Refused)
            await stream.drained()
        assert await stream.unfinished() == 0
        assert (await verify(stream.settings, stream.market)).differences == []


async def test_a_log_that_is_longer_than_the_database_halts_the_market(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Nothing new was ordered since the restore: the commands of the log that nobody accepted give it away."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.drained()
            await keep_a_copy(stream.session)
            await stream.trade(5)
            await stream.drained()
        await restore_the_copy(stream.session)
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            await eventually(lambda: is_halted(stream))
