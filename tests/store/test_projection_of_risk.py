"""Funding, liquidation, take-over, deleveraging and the end of a market: events of a real engine become rows, exactly."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from schemas.commands import (
    AdvanceClock,
    Counterparty,
    Deleverage,
    Liquidate,
    ReportPrice,
    SetIndex,
    SetPriceSources,
    SetStatus,
    TakeOver,
)
from schemas.events import FundingSettled
from schemas.ids import INSURANCE_FUND
from schemas.market import MarketStatus, PriceSource
from schemas.orders import Side
from schemas.units import Lots, Micros, Nanos, Ticks, Timestamp
from schemas.wire import GENESIS_HASH, chain_hash, decode_event, encode
from store.audit.invariants import INVARIANTS
from store.projection import ProjectionBroken
from store.queries.operations.settlement import Settlement, read_settlement
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC = "BTC-PERP"
USDC = 1_000_000
FOUR = Timestamp(NOON + 4 * 3_600_000_000)  # 16:00, where the funding interval of these tests ends
OF_MONEY = (
    "conservation",
    "clearing is the opposite of the open costs",
    "a ledger transaction sums to zero",
    "a wallet is the sum of its ledger entries",
    "an entry carries the wallet after it",
    "sizes of a market sum to zero",
    "margin sums are the sums over live orders",
)


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Real tables and engines; in every test no money is made or lost, and sizes sum to zero."""
    opened = await open_exchange(database)
    yield opened
    found = {name: await opened.session.fetch(INVARIANTS[name]) for name in OF_MONEY}
    await opened.close()
    assert {name: rows for name, rows in found.items() if rows} == {}


async def long_and_short(exchange: Exchange, lots: int = 1_000, amount: str = "10000") -> tuple[int, int]:
    """A buyer and a seller of a number of lots at 60,000, both with the given money less their fees."""
    buyer, seller = await exchange.user("long@x.io", amount), await exchange.user("short@x.io", amount)
    await exchange.submit(BTC, an_order(buyer, Side.BUY, lots, 600_000))
    await exchange.submit(BTC, an_order(seller, Side.SELL, lots, 600_000))
    await exchange.settle()
    return buyer, seller


async def rows(exchange: Exchange, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Rows as tuples."""
    return [tuple(row) for row in await exchange.session.fetch(query, *arguments)]


async def entries(exchange: Exchange, kind: str) -> list[tuple[Any, ...]]:
    """Account, cause and amount (USDC) of the ledger's entries of one type, in their order."""
    query = "SELECT account, cause, amount / 1000000.0 FROM ledger WHERE type = $1 ORDER BY entry_id"
    return [(account, cause, float(amount)) for account, cause, amount in await rows(exchange, query, kind)]


async def position_of(exchange: Exchange, user: int) -> tuple[Any, ...]:
    """Lots, cost, realized (micros) and whether it is known when the position was opened."""
    query = "SELECT lots, cost, realized, opened_seq > 0 FROM positions WHERE user_id = $1"
    (row,) = await rows(exchange, query, user)
    return row


async def test_the_insurance_fund_takes_a_position_over_at_its_amount(exchange: Exchange) -> None:
    """1 BTC from 60,000 at 57,000: the account realizes -3,000, the fund is long 1 for 57,000; two fills without orders."""
    buyer, _ = await long_and_short(exchange)
    await exchange.submit(BTC, TakeOver(NOON, buyer, 7, 2, 1_000, Micros(60_000 * USDC), Micros(57_000 * USDC)))
    await exchange.settle()
    fills = "SELECT user_id, role, side, order_id, price, quantity, notional, fee, realized FROM fills WHERE cause = $1"
    assert await rows(exchange, f"{fills} ORDER BY role DESC", "TAKE_OVER") == [
        (buyer, "TAKER", "SELL", None, 570_000, 1_000, 57_000 * USDC, 0, -3_000 * USDC),
        (INSURANCE_FUND, "MAKER", "BUY", None, 570_000, 1_000, 57_000 * USDC, 0, 0),
    ]
    assert (await entries(exchange, "REALIZED_PNL"))[-2:] == [
        (buyer, "TAKE_OVER", -3_000.0),
        (-4, "TAKE_OVER", 3_000.0),
    ]
    assert await position_of(exchange, buyer) == (0, 0, -3_000 * USDC, False)
    assert await position_of(exchange, INSURANCE_FUND) == (1_000, 57_000 * USDC, 0, True)
    leverage = "SELECT leverage FROM positions WHERE user_id = -3"
    assert await exchange.session.fetchval(leverage) == 20
    assert await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = -3") == 0


async def test_a_short_is_taken_over_with_its_signs(exchange: Exchange) -> None:
    """-1 BTC for -60,000 at -62,500: realizes -2,500; the notional of both fills is 62,500."""
    _, seller = await long_and_short(exchange)
    await exchange.submit(BTC, TakeOver(NOON, seller, 7, 2, -1_000, Micros(-60_000 * USDC), Micros(-62_500 * USDC)))
    await exchange.settle()
    fills = "SELECT side, notional, realized FROM fills WHERE cause = 'TAKE_OVER' ORDER BY role DESC"
    assert await rows(exchange, fills) == [("BUY", 62_500 * USDC, -2_500 * USDC), ("SELL", 62_500 * USDC, 0)]
    assert await position_of(exchange, INSURANCE_FUND) == (-1_000, -62_500 * USDC, 0, True)


async def test_a_deleveraging_pays_the_counterparty_what_the_bankrupt_loses(exchange: Exchange) -> None:
    """Long and short 1 BTC from 60,000 close at 57,000: -3,000 and +3,000, cause ADL, no fee, no clearing entry left."""
    buyer, seller = await long_and_short(exchange)
    named = (7, 3, 1_000, Micros(60_000 * USDC), Micros(57_000 * USDC))
    await exchange.submit(BTC, Deleverage(NOON, buyer, *named, (Counterparty(seller, Lots(1_000)),)))
    await exchange.settle()
    assert await entries(exchange, "REALIZED_PNL") == [(buyer, "ADL", -3_000.0), (seller, "ADL", 3_000.0)]
    assert await position_of(exchange, buyer) == (0, 0, -3_000 * USDC, False)
    assert await position_of(exchange, seller) == (0, 0, 3_000 * USDC, False)


async def test_a_receipt_has_the_result_of_its_action(exchange: Exchange) -> None:
    """Half of the lots found a counterparty: one transfer in the outcome, the lots that moved, the event, the time."""
    buyer, seller = await long_and_short(exchange)
    named = (7, 3, 1_000, Micros(60_000 * USDC), Micros(57_000 * USDC))
    await exchange.submit(BTC, Deleverage(NOON, buyer, *named, (Counterparty(seller, Lots(500)),)))
    await exchange.settle()
    query = (
        "SELECT outcome, event_seq, done_at IS NOT NULL FROM liquidation_steps WHERE liquidation_id = 7 AND step = 3"
    )
    ((outcome, event_seq, is_done),) = await rows(exchange, query)
    transfer = {"trade": 2, "counterparty": seller, "quantity": 500, "amount": 28_500 * USDC, "price": 570_000}
    assert json.loads(outcome) == {
        "quantity": 500,
        "isStale": False,
        "transfers": [transfer | {"realized": -1_500 * USDC}],
    }
    assert (event_seq, is_done) == (exchange.markets[BTC].event_seq, True)


async def test_an_action_on_another_position_than_was_meant_is_stale(exchange: Exchange) -> None:
    """Nothing moves, and the receipt records it."""
    buyer, _ = await long_and_short(exchange)
    await exchange.submit(BTC, TakeOver(NOON, buyer, 7, 1, 999, Micros(60_000 * USDC), Micros(57_000 * USDC)))
    await exchange.settle()
    outcome = await exchange.session.fetchval("SELECT outcome FROM liquidation_steps")
    assert json.loads(outcome) == {"quantity": 0, "isStale": True}
    assert (await position_of(exchange, buyer))[0] == 1_000


async def test_a_liquidation_pays_its_fee_to_the_insurance_fund(exchange: Exchange) -> None:
    """0.2 BTC sold at 58,000: 0.25 % of 11,600 is 29, no taker fee; the maker pays 2.32 to the house as ever."""
    buyer, _ = await long_and_short(exchange)
    maker = await exchange.user("maker@x.io")
    await exchange.submit(BTC, an_order(maker, Side.BUY, 200, 580_000))
    step = Liquidate(NOON, buyer, 7, 1, Side.SELL, Lots(200), Ticks(570_000), Micros(9_988 * USDC), 20)
    seq = await exchange.submit(BTC, step)
    await exchange.settle()
    assert await entries(exchange, "LIQUIDATION_FEE") == [(buyer, None, -29.0), (-3, None, 29.0)]
    assert await rows(exchange, "SELECT order_id & 1023 FROM ledger WHERE type = 'LIQUIDATION_FEE'") == [(seq,)] * 2
    assert (await entries(exchange, "TRADING_FEE"))[-2:] == [(maker, None, -2.32), (-2, None, 2.32)]
    assert (await entries(exchange, "REALIZED_PNL"))[-2:] == [
        (buyer, "LIQUIDATION", -400.0),
        (-4, "LIQUIDATION", 400.0),
    ]
    wallet = await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", buyer)
    assert wallet == 10_000 * USDC - 12 * USDC - 400 * USDC - 29 * USDC
    outcome = json.loads(await exchange.session.fetchval("SELECT outcome FROM liquidation_steps"))
    facts = {"order": seq, "quantity": 200, "notional": 11_600 * USDC, "fee": 29 * USDC, "mark": 600_000}
    assert outcome == facts


async def test_what_the_fund_realizes_is_posted_to_its_house_account(exchange: Exchange) -> None:
    """Taken over at 57,000, sold at 59,700: 2,700 and no fee for the fund; its row of accounts stays at zero."""
    buyer, _ = await long_and_short(exchange)
    maker = await exchange.user("maker@x.io")
    await exchange.submit(BTC, TakeOver(NOON, buyer, 7, 1, 1_000, Micros(60_000 * USDC), Micros(57_000 * USDC)))
    await exchange.submit(BTC, an_order(maker, Side.BUY, 1_000, 597_000))
    sale = Liquidate(NOON, INSURANCE_FUND, 8, 1, Side.SELL, Lots(1_000), Ticks(597_000), Micros(0), 20)
    await exchange.settle()
    await exchange.submit(BTC, sale)
    await exchange.settle()
    assert (await entries(exchange, "REALIZED_PNL"))[-2:] == [
        (-3, "LIQUIDATION", 2_700.0),
        (-4, "LIQUIDATION", -2_700.0),
    ]
    assert await entries(exchange, "LIQUIDATION_FEE") == []
    assert await position_of(exchange, INSURANCE_FUND) == (0, 0, 2_700 * USDC, False)
    assert await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = -3") == 0
    fund = await exchange.session.fetchval("SELECT sum(amount) FROM ledger WHERE account = -3")
    assert fund == (1_000_000 + 2_700) * USDC


async def test_a_forced_action_without_a_receipt_stops_the_projection(exchange: Exchange) -> None:
    """The liquidator writes the receipt with the command: a command without one is not ours."""
    buyer, _ = await long_and_short(exchange)
    await exchange.submit(BTC, TakeOver(NOON, buyer, 7, 1, 1_000, Micros(60_000 * USDC), Micros(57_000 * USDC)))
    await exchange.session.execute("DELETE FROM liquidation_steps")
    with pytest.raises(ProjectionBroken):
        await exchange.settle()


async def test_funding_moves_money_and_leaves_the_residue_to_the_fund(exchange: Exchange) -> None:
    """3 lots at 60,000.1 and 0.01 %: the long pays 0.018001, two shorts get 0.012 and 0.006; 0.000001 is the fund's."""
    buyer, seller, third = [await exchange.user(f"{name}@x.io") for name in "abc"]
    await exchange.submit(BTC, an_order(buyer, Side.BUY, 3, 600_000))
    await exchange.submit(BTC, an_order(seller, Side.SELL, 2, 600_000))
    await exchange.submit(BTC, an_order(third, Side.SELL, 1, 600_000))
    await exchange.submit(BTC, SetIndex(NOON, Nanos(60_000_100_000_000)))
    await exchange.submit(BTC, AdvanceClock(FOUR))
    await exchange.settle()
    micros = "SELECT account, amount FROM ledger WHERE type = 'FUNDING_PAYMENT' ORDER BY entry_id"
    assert await rows(exchange, micros) == [(buyer, -18_001), (seller, 12_000), (third, 6_000), (-3, 1)]
    paid = "SELECT user_id, lots, mark, rate, amount FROM funding_payments ORDER BY user_id"
    assert await rows(exchange, paid) == [
        (buyer, 3, 600_001, 100_000, -18_001),
        (seller, -2, 600_001, 100_000, 12_000),
        (third, -1, 600_001, 100_000, 6_000),
    ]
    funding = "SELECT rate, premium_sum, mark, residue, is_void, interval_end = $1 FROM fundings"
    ended = await exchange.session.fetchval("SELECT '2027-01-15T16:00:00Z'::timestamptz")
    assert await rows(exchange, funding, ended) == [(100_000, 0, 600_001, 1, False, True)]
    market = "SELECT funding_rate, next_funding_at = $1::timestamptz + interval '8 hours' FROM markets WHERE name = $2"
    assert await rows(exchange, market, ended, BTC) == [(100_000, True)]


async def test_a_new_market_knows_when_its_first_funding_is(exchange: Exchange) -> None:
    """Listed at 08:00: the interval that has just started ends at 16:00."""
    await exchange.settle()
    next_at = await exchange.session.fetchval("SELECT next_funding_at FROM markets WHERE name = $1", BTC)
    assert next_at.isoformat() == "2027-01-15T16:00:00+00:00"


async def test_a_premium_predicts_the_rate_of_its_interval(exchange: Exchange) -> None:
    """One sample of a book without depth: premium 0, prediction 0.01 %; after the funding it starts again."""
    await exchange.submit(BTC, AdvanceClock(NOON))
    await exchange.settle()
    market = "SELECT predicted_funding_rate, next_funding_at FROM markets WHERE name = $1"
    ((predicted, next_at),) = await rows(exchange, market, BTC)
    assert (predicted, next_at.isoformat()) == (100_000, "2027-01-15T16:00:00+00:00")
    samples = await rows(exchange, "SELECT premium, index_price, interval_end, at FROM premiums")
    assert [(premium, index, end == next_at) for premium, index, end, _ in samples] == [(0, 60_000 * 10**9, True)]


async def test_intervals_that_were_missed_are_settled_at_no_rate(exchange: Exchange) -> None:
    """A clock that returns after a day: three void fundings, nobody pays, the next one is at the next boundary."""
    await long_and_short(exchange)
    await exchange.submit(BTC, AdvanceClock(Timestamp(FOUR + 20 * 3_600_000_000)))
    await exchange.settle()
    assert await rows(exchange, "SELECT rate, is_void FROM fundings") == [(0, True)] * 3
    assert await rows(exchange, "SELECT 1 FROM funding_payments") == []
    next_at = await exchange.session.fetchval("SELECT next_funding_at FROM markets WHERE name = $1", BTC)
    assert next_at.isoformat() == "2027-01-16T16:00:00+00:00"


async def test_a_funding_that_does_not_sum_to_zero_stops_the_projection(exchange: Exchange) -> None:
    """Money made in the engine never reaches a wallet."""
    await long_and_short(exchange)
    await exchange.submit(BTC, AdvanceClock(FOUR))
    await exchange.submit(BTC, AdvanceClock(FOUR))
    await exchange.match(BTC)
    falsify(exchange, "residue", 5)
    with pytest.raises(ProjectionBroken, match="funding"):
        await exchange.projections[BTC].apply(exchange.records(BTC, 1))
    assert await rows(exchange, "SELECT 1 FROM funding_payments") == []


async def test_a_command_whose_events_come_in_two_batches_is_persisted_like_any_other(exchange: Exchange) -> None:
    """A funding and a deleveraging, one event a batch: payments, residue and both transfers of the receipt are there."""
    buyer, seller = await long_and_short(exchange)
    third = await exchange.user("third@x.io")
    await exchange.submit(BTC, an_order(third, Side.SELL, 400, 600_000))
    await exchange.submit(BTC, an_order(buyer, Side.BUY, 400, 600_000))
    await exchange.submit(BTC, AdvanceClock(FOUR))
    named = (buyer, 7, 1, 1_400, Micros(84_000 * USDC), Micros(84_000 * USDC))
    against = (Counterparty(seller, Lots(1_000)), Counterparty(third, Lots(400)))
    await exchange.submit(BTC, Deleverage(NOON, *named, against))
    await exchange.match(BTC)
    for seq in range(1, len(exchange.written[BTC]) + 1):
        await exchange.projections[BTC].apply(exchange.records(BTC, seq, seq))
    assert await rows(exchange, "SELECT count(*), sum(amount) FROM funding_payments") == [(3, 0)]
    ((outcome,),) = await rows(exchange, "SELECT outcome FROM liquidation_steps")
    assert [transfer["quantity"] for transfer in json.loads(outcome)["transfers"]] == [1_000, 400]


async def test_the_end_of_a_market_closes_every_position(exchange: Exchange) -> None:
    """Long and short 1 BTC from 60,000 at 61,000: +1,000 and -1,000, cause SETTLEMENT, flat, no fee."""
    buyer, seller = await long_and_short(exchange)
    await exchange.submit(BTC, SetIndex(NOON, Nanos(61_000 * 10**9)))
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.SETTLEMENT_ONLY))
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.SETTLED))
    await exchange.settle()
    assert await entries(exchange, "REALIZED_PNL") == [(buyer, "SETTLEMENT", 1_000.0), (seller, "SETTLEMENT", -1_000.0)]
    assert await rows(exchange, "SELECT user_id, lots, price, realized FROM settlements ORDER BY user_id") == [
        (buyer, 1_000, 610_000, 1_000 * USDC),
        (seller, -1_000, 610_000, -1_000 * USDC),
    ]
    assert await rows(exchange, "SELECT lots, cost, realized, opened_seq FROM positions") == [(0, 0, 0, 0)] * 2
    assert await exchange.session.fetchval("SELECT status FROM markets WHERE name = $1", BTC) == "SETTLED"


async def test_what_a_settlement_would_do_is_known_before(exchange: Exchange) -> None:
    """The price that is shown is the one that the engine settles at: the index, then the mean of its minutes, half even."""
    buyer, _ = await long_and_short(exchange)
    await exchange.submit(BTC, an_order(buyer, Side.BUY, 100, 590_000))
    await exchange.submit(BTC, an_order(buyer, Side.SELL, 400, 650_000, reduce_only=True))
    await exchange.settle()
    before = await read_settlement(exchange.session, BTC)
    assert before == Settlement(MarketStatus.ACTIVE, False, 2, 1, 2, "1", "60000", 0, None)
    minutes = [60_000, 60_000, *range(61_000, 61_031)]  # more than 30: the first ones do not count
    for minute, index in enumerate(minutes, 1):
        await exchange.submit(BTC, SetIndex(NOON, Nanos(index * 10**9 + 50_000_000)))
        await exchange.submit(BTC, AdvanceClock(Timestamp(NOON + minute * 60_000_000)))
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.SETTLEMENT_ONLY))
    await exchange.settle()
    between = await read_settlement(exchange.session, BTC)
    assert between == Settlement(MarketStatus.SETTLEMENT_ONLY, False, 1, 0, 2, "1", "61015.6", 30, None)
    await exchange.submit(BTC, SetStatus(NOON, MarketStatus.SETTLED))
    await exchange.settle()
    after = await read_settlement(exchange.session, BTC)
    assert after == between._replace(
        status=MarketStatus.SETTLED, orders=0, positions=0, open_interest="0", settled_price=between.price
    )
    assert await read_settlement(exchange.session, "NOPE-PERP") is None


async def test_a_market_without_fresh_prices_is_frozen_and_keeps_what_its_operator_set(exchange: Exchange) -> None:
    """CANCEL_ONLY and frozen below the quorum; with a price it is ACTIVE again, and the mark is of that moment."""
    sources = (PriceSource("one", 1, 5_000), PriceSource("two", 2, 5_000))
    await exchange.submit(BTC, SetPriceSources(NOON, sources, 1))
    await exchange.settle()
    query = "SELECT status, operator_status, is_frozen, price_quorum, price_sources, mark, mark_at FROM markets WHERE name = $1"
    ((*frozen, stored, _, _),) = await rows(exchange, query, BTC)
    assert frozen == ["CANCEL_ONLY", "ACTIVE", True, 1]
    assert msgspec.json.decode(stored, type=tuple[PriceSource, ...]) == sources
    later = Timestamp(NOON + 1_000_000)
    await exchange.submit(BTC, ReportPrice(later, "one", Nanos(61_000 * 10**9), later))
    await exchange.submit(BTC, ReportPrice(later, "nobody", Nanos(1), later))
    await exchange.settle()
    ((*live, _, mark, mark_at),) = await rows(exchange, query, BTC)
    assert (live[:3], mark, mark_at.isoformat()) == (
        ["ACTIVE", "ACTIVE", False],
        610_000,
        "2027-01-15T12:00:01+00:00",
    )


def falsify(exchange: Exchange, field: str, value: int) -> None:
    """Write the fundings of the log again with another value, chained as if the engine had said so."""
    chain, written = GENESIS_HASH, []
    for each in exchange.written[BTC]:
        event = decode_event(each.body)
        is_funding = isinstance(event, FundingSettled)
        body = encode(msgspec.structs.replace(event, **{field: value})) if is_funding else each.body
        chain = chain_hash(chain, body)
        written.append(each._replace(body=body, hash=chain))
    exchange.written[BTC] = written
