"""Each measure at a tiny size: it runs, and its numbers are of the right kind. No time is judged."""

import math
from pathlib import Path

import pytest

from bench.exchange_process import ExchangeProcess
from bench.measures import (
    acceptance,
    book,
    completion,
    engine,
    flat,
    latency,
    markets,
    memory,
    overload,
    projection,
    soak,
    start,
    take_over,
)
from bench.measures.live import broadcast, fills, orders
from bench.result import Outcome, Row
from bench.sizes import TINY
from bench.whole import whole_exchange
from tests.conftest import Broker


def _sane(outcome: Outcome) -> dict[str, Row]:
    """Rows by what they say; every number is finite and positive, least <= median <= greatest."""
    for row in outcome.rows:
        for values in (row.ours, row.yardstick, row.ratio):
            if values is not None:
                assert 0 < values.min <= values.median <= values.max < math.inf, row
    return {f"{row.what} against {row.yardstick_name}": row for row in outcome.rows}


def test_the_book_is_measured_against_orjson() -> None:
    """P4: a small and a big book."""
    assert len(_sane(book.measure(TINY))) == 2


def test_an_order_weighs_more_than_its_fields_and_less_than_a_page() -> None:
    """P7: the weights are of one order, not of all; so few find room in memory that is resident already."""
    measured = memory.measure(TINY)
    rows = _sane(Outcome([row for row in measured.rows if "resident" not in row.what]))
    traced = next(row for what, row in rows.items() if "tracemalloc" in what)
    assert 100 < traced.ours.median < 4_096


async def test_acceptance_is_measured_against_its_yardsticks(database: str, tmp_path: Path) -> None:
    """P1: every order is accepted by each of the servers, and every amend of ours."""
    rows = _sane(await acceptance.measure(database, tmp_path, TINY))
    yardsticks = {
        "bare aiohttp 202",
        "the same on uvloop, nothing decoded",
        "our handler, no database",
        "orders accepted",
    }
    assert {what.partition(" against ")[2] for what in rows} == yardsticks


async def test_orders_on_the_socket_are_measured_against_those_over_http(database: str, tmp_path: Path) -> None:
    """P10: every order of both is accepted."""
    (row,) = _sane(await orders.measure(database, tmp_path, TINY)).values()
    assert row.unit == "orders/s"


async def test_projection_is_measured_against_single_transactions(database: str) -> None:
    """P6: the same log is persisted both ways."""
    (row,) = _sane(await projection.measure(database, TINY)).values()
    assert row.unit == "events/s"


async def test_the_matching_agent_is_measured_against_a_bare_loop(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """P5: both answer every command."""
    assert len(_sane(await engine.measure(database, broker.bootstrap, tmp_path, TINY))) == len(engine.PACKINGS)


async def test_a_start_is_measured_from_an_empty_folder_and_from_a_full_one(tmp_path: Path) -> None:
    """Seconds until ready, memory and what idling costs; all of the tree weighs more than its broker."""
    rows = _sane(await start.measure(tmp_path, TINY))
    weights = [row.ours.median for row in rows.values() if row.unit == "MiB"]
    assert len(rows) == 5
    assert weights == sorted(weights)


async def test_every_order_finds_its_fill(small_tree: ExchangeProcess) -> None:
    """P3: idle, by waiting, at a rate, and asked for all the time."""
    outcome = await latency.measure(small_tree, TINY)
    assert len(_sane(outcome)) == 2 + len(TINY.rates) + 1
    assert [point.offered_per_s for point in outcome.points] == list(TINY.rates)


async def test_every_order_on_the_socket_finds_its_fill_there(small_tree: ExchangeProcess) -> None:
    """P9: idle, in a chain, and at a rate."""
    assert len(_sane(await fills.measure(small_tree, TINY))) == 3


async def test_subscribers_are_measured_against_a_bare_broadcast(small_tree: ExchangeProcess, tmp_path: Path) -> None:
    """P11: both send the same texts to everybody; so few weigh less than a page."""
    rows = (await broadcast.measure(small_tree, tmp_path, TINY)).rows
    assert [row.unit for row in rows] == ["messages/s", "orders/s", "KiB"]
    assert len(_sane(Outcome(rows[:2]))) == 2


async def test_what_is_accepted_is_completed(small_tree: ExchangeProcess) -> None:
    """P2: nothing lost, none PENDING, the books balance."""
    outcome = await completion.measure(small_tree, TINY, acceptance_per_s=1_000.0)
    assert len(_sane(outcome)) == 1


@pytest.mark.chaos
async def test_overload_reports_goodput_and_times(small_tree: ExchangeProcess) -> None:
    """Bars 17: five times the connections, cancels among the orders."""
    outcome = await overload.measure(small_tree, TINY)
    assert [row.unit for row in outcome.rows] == ["orders/s", "ms", "ms", "ms", "s"]
    assert outcome.rows[0].ratio is not None


@pytest.mark.chaos
async def test_a_crowd_is_measured(database: str, tmp_path: Path) -> None:
    """P8: acceptance among many accounts."""
    assert _sane(Outcome([await flat.measure(database, tmp_path, TINY)]))


@pytest.mark.chaos
async def test_more_markets_are_measured_and_owners_killed(tmp_path: Path) -> None:
    """S1 to S4: a row for each bar, what an order costs in the notes."""
    async with whole_exchange(tmp_path) as exchange:
        outcomes = [await markets.measure(exchange, TINY), await take_over.measure(exchange, TINY)]
    rows = [row for outcome in outcomes for row in outcome.rows]
    assert {row.measure for row in rows} == {"S1", "S2", "S3", "S4"}
    assert all("processor time an order" in note for note in outcomes[0].notes)


@pytest.mark.chaos
async def test_a_soak_keeps_what_it_has_seen(small_tree: ExchangeProcess) -> None:
    """P8: rates of both ends, memory and tables in between."""
    outcome, samples = await soak.measure(small_tree, TINY)
    assert {row.measure for row in outcome.rows} == {"P8"}
    assert all(sample.resident["api"] > 2**20 and sample.tables["orders"] > 0 for sample in samples)
