"""Writes event records of one market to PostgreSQL: new events are folded into rows and written in one transaction."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from schemas.orders import OrderStatus, Side
from schemas.units import Timestamp
from schemas.wire import EventRecord
from store.markets.registry import KnownMarket, load_registry
from store.projection.chain import ChainedEvent, Progress, decode_chain, events_after, rows_of_records
from store.projection.errors import ProjectionBroken
from store.projection.fold import Fold
from store.projection.lock_keys import keys_to_lock
from store.projection.rows import OrderRow, Rows
from store.projection.write import LOCK, WRITE, write_arguments
from store.session.connect import Connection, StoreUnavailable, is_outage

ATTEMPTS_MAX = 20
CLOSE_TIMEOUT_S = 1.0
_DATABASE_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Projection:
    """Persists the events of one market, each exactly once, however often it arrives.

    Not for concurrent tasks; two processes may run it for the same market, the row of progress serializes them.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], market: str) -> None:
        self._connect = connect
        self._market = market
        self._session: Connection | None = None
        self._known: KnownMarket | None = None

    async def apply(self, records: Sequence[EventRecord], logged_at: Sequence[Timestamp | None] = ()) -> int:
        """Persist the new events of the records, all or nothing; returns the number of newly persisted commands.

        `logged_at`, where it is known, is the log's time of each record.

        Raises EventGap, ChainBroken or ProjectionBroken when they cannot follow the persisted events, and StoreUnavailable
        when PostgreSQL is unavailable: pass the same records again, events that were committed are dropped.
        """
        chain = decode_chain(self._market, records)
        times = logged_at or [None] * len(records)
        for _ in range(ATTEMPTS_MAX if chain else 0):
            try:
                return await self._persist(chain, records, times)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                continue  # 40P01 and 40001: retry the same transaction
            except _DATABASE_ERRORS as error:
                if is_outage(error):
                    raise StoreUnavailable(outcome_is_unknown=False) from error
                raise
        if chain:
            raise StoreUnavailable(outcome_is_unknown=False)
        return 0

    async def close(self) -> None:
        """Give the session back to the server."""
        session, self._session = self._session, None
        if session is not None:
            await session.close(timeout=CLOSE_TIMEOUT_S)

    async def _persist(
        self, chain: Sequence[ChainedEvent], records: Sequence[EventRecord], logged_at: Sequence[Timestamp | None]
    ) -> int:
        """1 lock and read, 2 drop persisted events and fold the rest, 3 write, 4 commit.

        Any interruption, a cancellation included, closes the session: a new one has no open transaction.
        """
        session, known = await self._ready()
        is_clean = False
        try:
            before, rows = await self._lock(session, known.market_id, chain)  # 1
            events, after = events_after(self._market, before, chain)  # 2
            fold = Fold(known.market_id, known.spec, rows)
            for event in events:
                fold.apply(event)
            if events:
                fold.finish(events[-1].command)
                rows.records = rows_of_records(before, records, logged_at)
                arguments, counts = write_arguments(known.market_id, rows, before, after, events[-1].at)
                written = await session.fetchrow(WRITE, *arguments)  # 3
                if written is None or tuple(written) != counts:
                    raise ProjectionBroken(self._market, rows_expected=counts, rows_written=tuple(written or ()))
            await _commit(session)  # 4
            is_clean = True
            return after.command_seq - before.command_seq
        finally:
            if not is_clean:
                self._session = None
                session.terminate()

    async def _ready(self) -> tuple[Connection, KnownMarket]:
        if self._session is None or self._known is None or self._session.is_closed():
            session = await self._connect()
            self._known = (await load_registry(session)).by_name.get(self._market)
            if self._known is None:
                session.terminate()
                raise ProjectionBroken(self._market, reason="no such market in the database")
            await session.execute("BEGIN")
            self._session = session
        return self._session, self._known

    async def _lock(self, session: Connection, market_id: int, chain: Sequence[ChainedEvent]) -> tuple[Progress, Rows]:
        users, orders = keys_to_lock(market_id, (link.event for link in chain))
        progress, rows = None, Rows({}, {})
        for row in await session.fetch(LOCK, market_id, users, orders):
            if row["event_seq"] is not None:
                progress = Progress(row["event_seq"], row["command_seq"], row["event_hash"])
            elif row["user_id"] is not None:
                rows.wallets[row["user_id"]] = row["wallet"]
            else:
                rows.orders[row["order_id"]] = _order_row(row)
        if progress is None:
            raise ProjectionBroken(self._market, reason="the market has no row of progress")
        return progress, rows


async def _commit(session: Connection) -> None:
    try:
        await session.execute("COMMIT AND CHAIN")
    except _DATABASE_ERRORS as error:
        if is_outage(error):
            raise StoreUnavailable(outcome_is_unknown=True) from error
        raise


def _order_row(row: asyncpg.Record) -> OrderRow:
    status = OrderStatus(row["status"])
    return OrderRow(
        order_id=row["order_id"],
        user=row["order_user"],
        status=status,
        is_buy=row["side"] == Side.BUY,
        remaining=row["remaining"],
        margin_price=row["margin_price"],
        loss_per_lot=row["loss_per_lot"],
        fee_per_lot=row["fee_per_lot"],
        filled_lots=row["filled_lots"],
        filled_notional=row["filled_notional"],
        reason=row["reason"],
        best_opposite=row["best_opposite"],
        is_live=status.is_live,
    )
