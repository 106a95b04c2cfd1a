"""Bar 1: conservation exact over a million fills, engine and projection and real tables; and the audit bites."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

import store.projection.fold
from schemas.events import TradeExecuted
from store.audit.audit import audit
from store.money.ledger import Entry, House, trade_entries
from store.projection.fold import Fold
from store.projection.rows import OrderRow
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.long_exchange import BTC, LongMarket, parcels
from tests.store.projection_builders import open_exchange

SHORT, FULL = 3_000, 1_000_000
RECORDS_PER_TRANSACTION = 4
COMMANDS_PER_RECORD = 250


@pytest_asyncio.fixture
async def market(database: str) -> AsyncIterator[LongMarket]:
    """A market with forty rich users that has not traded yet."""
    exchange = await open_exchange(database)
    opened = LongMarket(exchange, seed=1)
    await opened.open()
    yield opened
    await exchange.close()


async def trade(market: LongMarket, fills: int) -> None:
    """Commands until there are enough fills (two per trade), each block persisted; conservation is checked after each tenth."""
    tenths = 1
    while 2 * market.market.trade_seq < fills:
        block = await market.next_block(min(2_000, fills))
        for first in range(0, len(block), COMMANDS_PER_RECORD):
            records = market.match(block[first : first + COMMANDS_PER_RECORD])
            for parcel in parcels(records, RECORDS_PER_TRANSACTION):
                await market.projection.apply(parcel)
        market.forget()
        if 20 * market.market.trade_seq >= tenths * fills:
            tenths += 1
            await check_conservation(market)


async def check_conservation(market: LongMarket) -> None:
    """Conservation (docs/semantics.md), by the one view."""
    row = await market.exchange.session.fetchrow("SELECT difference, clearing_difference FROM conservation")
    assert tuple(row) == (0, 0)


async def check(market: LongMarket, fills: int) -> str:
    """Everything that must hold at the end; what was counted."""
    began = time.monotonic()
    await trade(market, fills)
    traded_s = time.monotonic() - began
    session = market.exchange.session
    stored = await session.fetchval("SELECT count(*) FROM fills")
    assert stored == 2 * market.market.trade_seq >= fills
    assert await audit(session) == []
    await assert_rows_equal_the_engine(market.exchange, BTC)
    entries, charged = await session.fetchrow("SELECT (SELECT count(*) FROM ledger), (SELECT sum(fee) FROM fills)")
    audited_s = time.monotonic() - began - traded_s
    return (
        f"{stored:,} fills of {market.seq:,} commands, {entries:,} ledger entries, {charged:,} micros of fees;"
        f" {traded_s:.0f} s to trade, {audited_s:.0f} s to audit"
    )


async def test_conservation_is_exact_over_thousands_of_fills(market: LongMarket) -> None:
    """Fees rounded order by order, profits, partial fills, cuts and expiries: not a micro is made or lost."""
    await check(market, SHORT)


@pytest.mark.chaos  # minutes of processor time
@pytest.mark.timeout(7200)
async def test_conservation_is_exact_over_a_million_fills(market: LongMarket) -> None:
    """The full size of the bar."""
    print(await check(market, FULL))  # noqa: T201 - what was measured


def one_micro_too_much(trade: TradeExecuted) -> list[Entry]:
    """Once, the house gets a micro that no account paid."""
    entries = trade_entries(trade)
    if trade.trade != 100:
        return entries
    return [replace(e, amount=e.amount + 1) if e.account == House.FEES else e for e in entries]


def one_micro_from_the_wrong_wallet(trade: TradeExecuted) -> list[Entry]:
    """Once, the maker pays a micro of the taker's fee: the sum is right."""
    entries = trade_entries(trade)
    if trade.trade != 100:
        return entries
    moved = {trade.maker.user: -1, trade.taker.user: 1}
    return [
        replace(e, amount=e.amount + moved.pop(e.account)) if e.account in moved else e  # type: ignore[type-var]
        for e in entries
    ]


def one_lot_stays_reserved(fold: Fold, order: OrderRow, lots: int) -> None:
    """A stale margin sum: once, what a lot had added is not subtracted."""
    _take_from_sums(fold, order, lots - 1 if order.order_id % 97 == 0 and lots > 1 else lots)


def one_fill_lies_twice(*arguments: Any) -> None:
    """A doubled fill, under the next trade's number."""
    fold, trade = arguments[0], arguments[1]
    _fill(*arguments)
    if trade.trade == 100:
        doubled = fold.rows.fills[-1]
        fold.rows.fills.append(replace(doubled, trade_id=doubled.trade_id + 10**6))


_take_from_sums, _fill = Fold._take_from_sums, Fold._fill
FAULTS: dict[str, tuple[object, str, object]] = {
    "one micro is made": (store.projection.fold, "trade_entries", one_micro_too_much),
    "one micro is taken from the wrong wallet": (
        store.projection.fold,
        "trade_entries",
        one_micro_from_the_wrong_wallet,
    ),
    "a margin sum goes stale": (Fold, "_take_from_sums", one_lot_stays_reserved),
    "a fill is doubled": (Fold, "_fill", one_fill_lies_twice),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_put_in_on_purpose_is_seen(
    fault: str, market: LongMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books are not balanced, or a check of the rows says what differs."""
    monkeypatch.setattr(*FAULTS[fault])
    with pytest.raises(AssertionError):
        await check(market, 600)
