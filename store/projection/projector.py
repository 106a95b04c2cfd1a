"""Writes event records to PostgreSQL: the new events of many markets are folded into rows and written in one transaction."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import asyncpg

from schemas.ids import seq_of_order_key
from schemas.orders import OrderStatus, Side
from schemas.units import Timestamp
from schemas.wire import EventRecord
from store.markets.registry import KnownMarket, MarketRegistry, load_registry
from store.projection.chain import ChainedEvent, Progress, decode_chain, events_after, rows_of_records
from store.projection.errors import ProjectionBroken, ProjectionStopped, RowsLocked
from store.projection.fold import Fold
from store.projection.lock_keys import keys_to_lock
from store.projection.rows import MarginTerms, OrderRow, RecordRow, Rows
from store.projection.write import LOCK, FoldedMarket, writing_of
from store.session.chained_transactions import ChainedTransactions
from store.session.connect import Connection, StoreUnavailable, is_outage

ATTEMPTS_MAX = 20
CLOSE_TIMEOUT_S = 1.0
LOCK_TIMEOUT_MS = 1_500  # longer than any transaction takes, and than PostgreSQL's deadlock_timeout
BRIEF_LOCK_TIMEOUT_MS = 250  # for a market that may be the one whose rows are held: the others wait for it
_DATABASE_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""40P01 and 40001: nothing is written, the same transaction is repeated."""

Outcome: TypeAlias = int | ProjectionStopped | RowsLocked
"""The number of newly persisted commands of a market, or why its events cannot follow the persisted ones, or not now."""


class MarketBatch(NamedTuple):
    """Event records of a market; `logged_at`, where it is known, is the log's time of each."""

    market: str
    records: Sequence[EventRecord]
    logged_at: Sequence[Timestamp | None] = ()


class _Decoded(NamedTuple):
    """A market's batch with its events."""

    batch: MarketBatch
    known: KnownMarket
    chain: Sequence[ChainedEvent]


class _Locked(NamedTuple):
    """The rows that a transaction has locked: progress by market, wallets by user, orders by key."""

    progress: dict[int, Progress]
    wallets: dict[int, int]
    orders: dict[int, OrderRow]


class Projections:
    """Persists the events of many markets, each exactly once, however often it arrives.

    Not for concurrent tasks; two processes may run it for the same market, its row of progress serializes them.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._session: Connection | None = None
        self._transactions = ChainedTransactions()
        self._registry = MarketRegistry()
        self._sessions = 0

    async def open(self) -> int:
        """Have a session; returns its number, which grows with each new one. Raises StoreUnavailable."""
        if self._session is None or self._session.is_closed():
            with _outages_as_unavailable():
                self._session = await self._begin()
            self._sessions += 1
        return self._sessions

    async def apply(self, batches: Sequence[MarketBatch], *, waits_briefly: bool = False) -> list[Outcome]:
        """Persist the new events of each market, all or nothing per market; one outcome each, in their order.

        All markets go into one transaction. One whose events cannot follow the persisted ones is left out of it, and the others
        are persisted. So they are when another session holds rows of one for too long; `waits_briefly` shortens how long that is.

        Raises StoreUnavailable when PostgreSQL is unavailable, or the session of `open` is lost: pass the same records again,
        events that were committed are dropped.
        """
        outcomes: dict[str, Outcome] = {}
        decoded: list[_Decoded] = []
        for batch in batches:
            try:
                decoded.append(await self._decode(batch))
            except ProjectionStopped as error:
                outcomes[batch.market] = error
        outcomes |= await self._persist([each for each in decoded if each.chain], waits_briefly=waits_briefly)
        return [outcomes.get(batch.market, 0) for batch in batches]

    async def close(self) -> None:
        """Give the session back to the server."""
        session, self._session = self._session, None
        if session is not None:
            await session.close(timeout=CLOSE_TIMEOUT_S)

    async def _begin(self) -> Connection:
        session = await self._connect()
        try:
            self._registry = await load_registry(session)
            await session.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        except BaseException:
            session.terminate()
            raise
        return session

    async def _decode(self, batch: MarketBatch) -> _Decoded:
        known = self._registry.by_name.get(batch.market)
        if known is None:
            with _outages_as_unavailable():
                await self._registry.refresh(self._opened())
            known = self._registry.by_name.get(batch.market)
        if known is None:
            raise ProjectionBroken(batch.market, reason="no such market in the database")
        return _Decoded(batch, known, decode_chain(batch.market, batch.records))

    async def _persist(self, markets: Sequence[_Decoded], *, waits_briefly: bool) -> dict[str, Outcome]:
        """Together; where the rows contradict the events of one or are held, each market alone, which shows whose they are."""
        if not markets:
            return {}
        try:
            return await self._in_one_transaction(markets, waits_briefly=waits_briefly)
        except (ProjectionBroken, RowsLocked) as error:
            if len(markets) == 1:
                return {markets[0].batch.market: error}
        outcomes: dict[str, Outcome] = {}
        for market in markets:
            outcomes |= await self._persist([market], waits_briefly=True)
        return outcomes

    async def _in_one_transaction(self, markets: Sequence[_Decoded], *, waits_briefly: bool) -> dict[str, Outcome]:
        for _ in range(ATTEMPTS_MAX):
            try:
                with _outages_as_unavailable():
                    return await self._transact(markets, waits_briefly=waits_briefly)
            except _CONFLICTS:
                continue
            except asyncpg.LockNotAvailableError as error:
                raise RowsLocked(", ".join(market.batch.market for market in markets)) from error
        raise StoreUnavailable(outcome_is_unknown=False)

    async def _transact(self, markets: Sequence[_Decoded], *, waits_briefly: bool) -> dict[str, Outcome]:
        """1 lock and read, 2 drop persisted events and fold the rest, 3 write, 4 commit.

        What the database or the rows refuse is rolled back. Any other interruption, a cancellation included, closes the session:
        a new one has no open transaction.
        """
        session = self._opened()
        is_clean = False
        try:
            with _outages_as_unavailable():
                await self._transactions.begin(session)
            if waits_briefly:
                await session.execute(f"SET LOCAL lock_timeout = {BRIEF_LOCK_TIMEOUT_MS}")
            locked = await _lock(session, markets)  # 1
            outcomes, folded = _folded(markets, locked)  # 2
            if folded:
                await _write(session, folded, markets)  # 3
            with _outages_as_unavailable(outcome_is_unknown=True):
                await self._transactions.commit(session)  # 4
            is_clean = True
            return outcomes
        except (*_CONFLICTS, asyncpg.LockNotAvailableError, ProjectionBroken):
            await self._transactions.roll_back(session)
            is_clean = True
            raise
        finally:
            if not is_clean:
                self._session = None
                session.terminate()

    def _opened(self) -> Connection:
        if self._session is None or self._session.is_closed():
            raise StoreUnavailable(outcome_is_unknown=False)
        return self._session


class Projection:
    """The projection of one market over a session of its own."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], market: str) -> None:
        self._projections = Projections(connect)
        self._market = market

    async def apply(self, records: Sequence[EventRecord], logged_at: Sequence[Timestamp | None] = ()) -> int:
        """Persist the new events of the records, all or nothing; returns the number of newly persisted commands.

        Raises EventGap, ChainBroken or ProjectionBroken when they cannot follow the persisted events, RowsLocked when they
        cannot now, and StoreUnavailable as `Projections.apply`.
        """
        await self._projections.open()
        (outcome,) = await self._projections.apply([MarketBatch(self._market, records, logged_at)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._projections.close()


async def _lock(session: Connection, markets: Sequence[_Decoded]) -> _Locked:
    """Lock progress by market and accounts by user, over all markets, and read them and the orders."""
    users: set[int] = set()
    orders: set[int] = set()
    for market in markets:
        keys = keys_to_lock(market.known.market_id, (link.event for link in market.chain))
        users |= keys.users
        orders |= keys.orders
    locked = _Locked({}, {}, {})
    ids = sorted(market.known.market_id for market in markets)
    for row in await session.fetch(LOCK, ids, sorted(users), sorted(orders)):
        if (market_id := row["market_id"]) is not None:
            locked.progress[market_id] = Progress(row["event_seq"], row["command_seq"], row["event_hash"])
        elif (user := row["user_id"]) is not None:
            locked.wallets[user] = row["wallet"]
        else:
            locked.orders[row["order_id"]] = _order_row(row)
    return locked


def _folded(markets: Sequence[_Decoded], locked: _Locked) -> tuple[dict[str, Outcome], list[FoldedMarket]]:
    """What each market comes to, one after the other; a market that cannot follow its progress is left out.

    Raises ProjectionBroken when the events of one contradict the rows, which the fold of another may have changed already.
    """
    outcomes: dict[str, Outcome] = {}
    folded: list[FoldedMarket] = []
    for market in markets:
        name = market.batch.market
        before = locked.progress.get(market.known.market_id)
        if before is None:
            raise ProjectionBroken(name, reason="the market has no row of progress")
        try:
            events, after = events_after(name, before, market.chain)
        except ProjectionStopped as error:
            outcomes[name] = error
            continue
        outcomes[name] = after.command_seq - before.command_seq
        if events:
            rows = Rows(locked.wallets, locked.orders)
            fold = Fold(market.known.market_id, market.known.spec, rows)
            for event in events:
                fold.apply(event)
            fold.finish(events[-1].command)
            rows.records = _rows_of_records(market, before, rows)
            folded.append(FoldedMarket(market.known.market_id, rows, before, after, events[-1].at))
    return outcomes, folded


def _rows_of_records(market: _Decoded, before: Progress, rows: Rows) -> list[RecordRow]:
    batch = market.batch
    touched = {seq for order in rows.touched_orders.values() for seq in _commands_of(order)}
    of_orders = sorted(touched.union(amend.command_seq for amend in rows.amends))
    logged_at = batch.logged_at or [None] * len(batch.records)
    return rows_of_records(market.known.market_id, before, batch.records, logged_at, of_orders)


def _commands_of(order: OrderRow) -> Iterator[int]:
    """The commands whose records a trace shows: its own, and those that triggered it, let it enter the book, and ended it."""
    yield seq_of_order_key(order.order_id)
    if order.ended_command_seq is not None:
        yield order.ended_command_seq
    if order.trigger is not None:
        yield order.trigger.command_seq
    if order.is_conditional and order.moved_command_seq is not None:
        yield order.moved_command_seq


async def _write(session: Connection, folded: Sequence[FoldedMarket], markets: Sequence[_Decoded]) -> None:
    writing = writing_of(folded)
    written = tuple(await session.fetchrow(writing.statement, writing.argument) or ())
    if written != writing.counts:
        names = ", ".join(market.batch.market for market in markets)
        raise ProjectionBroken(names, rows_expected=writing.counts, rows_written=written)


@contextmanager
def _outages_as_unavailable(*, outcome_is_unknown: bool = False) -> Iterator[None]:
    try:
        yield
    except _DATABASE_ERRORS as error:
        if is_outage(error):
            raise StoreUnavailable(outcome_is_unknown=outcome_is_unknown) from error
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
        is_live=row["is_live"] and status.is_open,
        is_waiting=row["is_waiting"] and status.is_open,
        is_conditional=row["is_conditional"],
        quantity=row["quantity"],
        amend_seq=row["amend_seq"],
        amend_lots=row["amend_lots"],
        old_terms=None if row["old_terms"] is None else MarginTerms(*row["old_terms"]),
        new_terms=None if row["new_terms"] is None else MarginTerms(*row["new_terms"]),
    )
