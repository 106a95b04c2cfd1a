"""What an operator sees of a running exchange: the metrics and the log of every process, and nobody's secrets."""

import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench.exchange_process import ExchangeProcess
from bench.load.generator import PASSWORD, make_traders, send_orders
from tests.eventually import eventually
from tests.house.test_alerts import labels_asked_for, metrics_asked_for, metrics_in_the_manuals
from tests.system.conftest import Start
from tests.system.verdict import MARKETS
from tests.terminal import on_terminal

WORKERS = {"api", "relay", "engine", "projection", "publisher", "clock", "liquidator"}
RARE = {
    "perpetua_api_unavailable_total",
    "perpetua_prices_reported_total",
    "perpetua_dead_letters_total",
    "perpetua_stored_snapshot_age_seconds",
}
"""Known to a process that exports them, but without a number until a feed reports, a record is unreadable, a minute is over."""
LABELS = {
    *("market", "shard", "group", "work", "method", "route", "status", "reason", "error", "source", "topic", "channel"),
    "le",
}
"""The labels of metrics: none of them is a user, an order, or a value chosen by an unauthenticated caller."""


async def test_every_process_shows_itself_and_its_metrics(any_exchange: Start) -> None:
    """`status --workers` says where each is read; together they export what alerts, dashboard and manuals ask for.

    Every name, each of its labels, and each kind of work.
    """
    exchange = await any_exchange()
    await send_orders(exchange.url, await make_traders(exchange.url, 2), 20)
    shown = await eventually(lambda: _every_worker(exchange), every_s=0.5)
    pages = {kind: await _scraped(shown[kind]["metrics"]) for kind in WORKERS}
    families = {name for text in pages.values() for name in re.findall(r"^# TYPE (perpetua_\w+)", text, re.MULTILINE)}
    samples = [sample for text in pages.values() for sample in _samples(text)]
    assert (metrics_asked_for() | metrics_in_the_manuals()) - RARE <= families | {sample.name for sample in samples}
    assert {label for sample in samples for label in sample.labels} <= LABELS
    known = {(sample.name, label) for sample in samples for label in sample.labels}
    assert {(name, label) for name, label, _ in labels_asked_for() if name not in RARE} <= known
    works = {sample.labels["work"] for sample in samples if sample.name == "perpetua_owner"}
    assert {work for name, label, work in labels_asked_for() if label == "work"} <= works
    assert {name.removesuffix("_total") for name in RARE - {"perpetua_stored_snapshot_age_seconds"}} <= {
        name.removesuffix("_total") for name in families
    }
    assert 'perpetua_engine_commands_total{market="BTC-PERP"}' in pages["engine"]
    assert 'perpetua_relay_records_total{market="BTC-PERP"}' in pages["relay"]
    assert 'perpetua_projection_batch_events_sum{market="BTC-PERP"}' in pages["projection"]
    assert 'perpetua_clock_ticks_total{market="BTC-PERP"}' in pages["clock"]
    counted = {
        sample.name: sample.value for sample in _samples(pages["engine"]) if sample.labels == {"market": "BTC-PERP"}
    }
    assert counted["perpetua_recoveries_total"] >= 1
    assert counted["perpetua_engine_commands_total"] > 0
    assert counted["perpetua_engine_events_total"] > 0  # fewer than commands where a recovery found events in the log
    assert 0 <= time.time() - counted["perpetua_snapshot_timestamp_seconds"] < 3_600
    assert 'perpetua_requests_total{method="POST",route="/orders",status="202"}' in pages["api"]


async def test_a_market_has_the_owner_that_its_engine_is(any_exchange: Start) -> None:
    """By machine and process id; each kind of work is shown with the process that does it."""
    exchange = await any_exchange()
    pid = exchange.children()["engine"]
    rows = await eventually(lambda: _owned(exchange), every_s=0.5)
    assert {row["owner"].rpartition(":")[2] for row in rows} == {str(pid)}
    of_markets = ("engine", "projection", "relay", "publisher")
    markets = {row["market"] for row in rows}
    assert {*MARKETS} <= markets  # another test may have listed more
    works = {kind: {f"{kind} {market}" for market in markets} for kind in of_markets}
    works |= {"clock": {"clock"}, "liquidator": {"liquidator"}}

    async def all_work() -> bool:
        listed = {row["process"]: row["works_for"] or "" for row in await _listed(exchange, "--workers")}
        return all(works[kind] <= {*listed.get(kind, "").split(", ")} for kind in works)

    await eventually(all_work, every_s=0.5)


async def test_long_checks_say_how_far_they_are(any_exchange: Start) -> None:
    """On a terminal: each stage up to its end. In a pipe nothing but the result."""
    exchange = await any_exchange()
    await send_orders(exchange.url, await make_traders(exchange.url, 2), 20)
    assert (await exchange.command("drain"))[0] == 0
    expected = {
        ("verify", "--market", "BTC-PERP"): {"reading commands", "reading events", "replaying commands"},
        ("audit", "--deep"): {"checking the sums", "recomputing BTC-PERP"},
    }
    for words, stages in expected.items():
        shown = await on_terminal(words, 80, {"DATA": str(exchange.data)})
        assert shown.exit_code == 0, shown.raw
        ends = [line.partition("  [")[0] for line in shown.lines if _is_full(line)]
        assert stages <= set(ends), shown.lines
        _, piped = await exchange.command(*words)
        assert not any(stage in piped for stage in stages)


async def test_no_log_has_a_secret(any_exchange: Start) -> None:
    """Tokens, passwords and the signing secret are in no line that any process has written, nor is a line broken."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, 2)
    await send_orders(exchange.url, traders, 20)
    await _cause_refusals(exchange, traders[0].headers)
    secrets = [PASSWORD, (exchange.data / "jwt_secret").read_text(), "Bearer "]
    secrets += [trader.headers["Authorization"].removeprefix("Bearer ") for trader in traders]
    logs = [*(exchange.data / "log").glob("*.log")]
    assert {path.stem for path in logs} >= WORKERS
    written = "\n".join([*(path.read_text() for path in logs), *exchange.printed])
    assert not [secret for secret in secrets if secret in written]
    lines = [line for path in logs if path.stem in WORKERS for line in _lines(path)]
    assert {line["market"] for line in lines if "market" in line} >= {"BTC-PERP", "ETH-PERP"}
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)
    recovered = {(line["market"], line["sequence"]) for line in lines if "continues after command" in line["event"]}
    assert {market for market, _ in recovered} >= {"BTC-PERP", "ETH-PERP"}


def _is_full(line: str) -> bool:
    """Whether a line of progress ends with all of its steps."""
    done, _, total = line.rpartition(" ")[2].partition("/")
    return bool(total) and done == total


async def _owned(exchange: ExchangeProcess) -> list[dict[str, Any]]:
    rows = [row for row in await _listed(exchange) if row["status"] != "SETTLED"]  # by another test
    return rows if all(row["owner"] and "," not in row["owner"] for row in rows) else []


async def _every_worker(exchange: ExchangeProcess) -> dict[str, dict[str, Any]]:
    """A row of each kind of process; none until all are shown: one whose session was cut is shown again after a while."""
    shown = {row["process"]: row for row in await _listed(exchange, "--workers")}
    return shown if shown.keys() >= WORKERS else {}


async def _listed(exchange: ExchangeProcess, *options: str) -> list[dict[str, Any]]:
    code, printed = await exchange.command("status", "--json", *options)
    assert code == 0, printed
    rows: list[dict[str, Any]] = msgspec.json.decode(printed)
    return rows


async def _scraped(address: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
        return await answer.text()


async def _cause_refusals(exchange: ExchangeProcess, headers: dict[str, str]) -> None:
    """A wrong password, a body without its type, a forged token."""
    async with aiohttp.ClientSession(exchange.url) as session:
        body = {"email": "nobody@load.example", "password": PASSWORD}
        async with session.post("/auth/login", json=body) as answer:
            assert answer.status == 401
        async with session.post("/orders", data=b"{", headers=headers) as answer:
            assert answer.status == 415
        forged = {"Authorization": headers["Authorization"] + "x"}
        async with session.get("/orders", headers=forged) as answer:
            assert answer.status == 401


def _samples(text: str) -> list[Sample]:
    """Our metrics."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return [
        sample for sample in samples if sample.name.startswith("perpetua_") and not sample.name.endswith("_created")
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_text().splitlines()]
