"""The access log: a line of JSON for each request, with nothing in it that a client has chosen."""

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.access.access_logged import AccessLogged
from api.access_log import FILE_BYTES_MAX, LINES_WAITING_MAX, AccessLog
from tests.api.exchange import Exchange
from tests.eventually import eventually

FIELDS = {"event", "request", "method", "route", "status", "ms", "user", "level", "logger", "timestamp"}
TOLD = ("method", "route", "status", "user")
ORDER = ("POST", "/orders")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines written so far."""
    return [msgspec.json.decode(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest_asyncio.fixture(name="opened")
async def exchange_with_a_log(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Exchange, Path]]:
    """An API with an access log, and its file."""
    path = tmp_path / "access.log"
    exchange = Exchange(database, access=AccessLog(getattr(request, "param", AccessLogged.PRIVATE), path))
    await exchange.start()
    yield exchange, path
    await exchange.stop()


async def test_each_request_is_a_line(opened: tuple[Exchange, Path]) -> None:
    """Orders on both paths, cancels, reads and refusals: id, route, status, duration and user; no token, no path, no query."""
    exchange, path = opened
    alice = await exchange.user()
    placed = await alice.order()
    refused = await alice.order(quantity="0")
    await alice.cancel(placed.body["orderId"])
    await alice.get("/orders?limit=1")
    await exchange.anonymous().get("/orders")
    await exchange.anonymous().get("/secret-path?token=abc")
    credentials = {"email": "ann@example.org", "password": "correct horse"}
    await exchange.anonymous().call("POST", "/auth/register", credentials)
    await exchange.anonymous().call("POST", "/auth/login", credentials)
    await exchange.anonymous().call("POST", "/auth/login", credentials | {"password": "wrong horse"})
    lines = await eventually(lambda: found if len(found := lines_of(path)) == 10 else [])
    user, ann = str(alice.user), str(alice.user + 1)
    assert [tuple(line[name] for name in TOLD) for line in lines] == [
        ("POST", "/deposits", 201, user),
        (*ORDER, 202, user),
        (*ORDER, 400, user),
        ("DELETE", "/orders/{orderId}", 202, user),
        ("GET", "/orders", 200, user),
        ("GET", "/orders", 401, None),
        ("-", "unmatched", 404, None),
        ("POST", "/auth/register", 201, ann),
        ("POST", "/auth/login", 200, ann),
        ("POST", "/auth/login", 401, None),
    ]
    assert {frozenset(line) for line in lines} == {frozenset(FIELDS)}
    assert [line["request"] for line in lines[1:3]] == [reply.headers["X-Request-Id"] for reply in (placed, refused)]
    assert all(line["ms"] > 0 for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"]) for line in lines)
    written = path.read_text()
    assert not [
        word for word in (str(alice.token), "secret-path", "abc", "horse", "example.org", "BTC-PERP") if word in written
    ]


@pytest.mark.parametrize(
    ("opened", "logged"),
    [
        (AccessLogged.OFF, set()),
        (AccessLogged.PRIVATE, {"/deposits", "/balances"}),
        (
            AccessLogged.ALL,
            {"/deposits", "/balances", "/markets", "/markets/{marketId}/orderbook", "/readyz", "/openapi.json"},
        ),
    ],
    indirect=["opened"],
)
async def test_public_reads_are_logged_only_if_asked_for(opened: tuple[Exchange, Path], logged: set[str]) -> None:
    """Market data, health checks and documents are most of the traffic and nobody's."""
    exchange, path = opened
    alice = await exchange.user()
    for read in ("/markets", "/markets/BTC-PERP/orderbook", "/readyz", "/openapi.json", "/balances"):
        assert (await alice.get(read)).status == 200
    await exchange.services.access.stop()  # writes the rest
    assert {line["route"] for line in lines_of(path)} == logged


async def test_what_is_not_http_is_a_line_too(opened: tuple[Exchange, Path]) -> None:
    """A scanner's garbage: answered 400, logged without a route."""
    exchange, path = opened
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    writer.write(b'"}\x00 nonsense\r\n\r\n')
    answer = await reader.read()
    writer.close()
    assert b" 400 Bad Request" in answer.splitlines()[0]
    (line,) = await eventually(lambda: lines_of(path))
    assert tuple(line[name] for name in TOLD) == ("-", "unmatched", 400, None)


async def test_a_full_file_is_renamed_once(tmp_path: Path) -> None:
    """The log and its predecessor: a disk is not filled by requests."""
    path = tmp_path / "access.log"
    with path.open("wb") as old:
        old.truncate(FILE_BYTES_MAX)
    log = AccessLog(AccessLogged.PRIVATE, path)
    log.start()
    log.add("req-1", ORDER, 202, 1.0, 7)
    await log.stop()
    assert [line["request"] for line in lines_of(path)] == ["req-1"]
    assert (tmp_path / "access.log.1").stat().st_size == FILE_BYTES_MAX


async def test_lines_that_cannot_be_written_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk delays no answer and is reported once; a line says how many are missing, once there is room."""
    path = tmp_path / "folder" / "access.log"  # there is no such folder yet
    log = AccessLog(AccessLogged.PRIVATE, path)
    log.start()
    for number in range(3):
        log.add(f"req-{number}", ORDER, 202, 1.0, 7)
    await eventually(lambda: log.lost == 3)
    log.add("req-lost", ORDER, 202, 1.0, 7)
    await eventually(lambda: log.lost == 4)
    (reported,) = caplog.messages
    assert reported.startswith("the access log is not written: [Errno 2] No such file or directory")
    path.parent.mkdir()
    log.add("req-3", ORDER, 202, 1.0, 7)
    await log.stop()
    about, line = lines_of(path)
    assert (about["event"], about["left_out"], line["request"]) == ("left out", 4, "req-3")


async def test_a_pipe_that_nobody_reads_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error of a frozen collector: lines wait up to a bound, then they are left out; the API still ends."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4_096)
    with os.fdopen(writing, "w") as blocked:
        monkeypatch.setattr("sys.stderr", blocked)
        monkeypatch.setattr("api.access_log.STOP_WITHIN_S", 0.1)
        log = AccessLog(AccessLogged.PRIVATE)
        log.start()
        for number in range(3 * LINES_WAITING_MAX):
            log.add(f"req-{number}", ORDER, 202, 1.0, 7)
        assert log.lost >= LINES_WAITING_MAX
        await log.stop()
        block = await asyncio.to_thread(os.read, reading, 4_096)
        assert all(msgspec.json.decode(line)["logger"] == "access" for line in block.splitlines()), "whole lines only"
        os.close(reading)  # the writer wakes, and finds that the pipe is gone
        await eventually(lambda: not log.is_writing)
