"""Exports: the whole list as a file, in a stable order, whatever its size, and only the caller's own."""

import asyncio
import csv
import io
import json
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from api.routes.reports import export_files, exports
from tests.api.exchange import Client, Exchange, Reply
from tests.api.test_history import fund
from tests.eventually import eventually

KINDS = ["fills", "orders", "ledger", "funding"]
LISTS = {"fills": "/fills", "orders": "/orders", "ledger": "/ledger", "funding": "/funding-payments"}


async def traded(exchange: Exchange, trades: int = 7) -> tuple[Client, Client]:
    """Alice and Bob after some trades and a funding."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    for number in range(trades):
        await bob.order(side="SELL", quantity="0.01", price="60000")
        await alice.order(quantity="0.01", price="60000", clientOrderId=f"a-{number}")
    await exchange.run_engine()
    await fund(exchange)
    return alice, bob


async def listed(client: Client, kind: str) -> list[dict[str, Any]]:
    """The same rows as their list shows them, oldest first."""
    rows: list[dict[str, Any]] = (await client.get(f"{LISTS[kind]}?order=asc&limit=500")).body["data"]
    return rows


def lines_of(reply: Reply) -> list[dict[str, Any]]:
    """The rows of an ndjson file, whose last line is checked."""
    *rows, last = reply.body.splitlines(keepends=True)
    digest = sha256("".join(rows).encode()).hexdigest()
    assert json.loads(last) == {"rows": len(rows), "sha256": digest}
    return [json.loads(row) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_has_every_row_of_the_list_once(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Oldest first, over many pages, in both formats, and the same bytes each time."""
    monkeypatch.setattr(exports, "PAGE_ROWS", 3)
    alice, _ = await traded(exchange)
    rows = await listed(alice, kind)
    assert len(rows) >= (1 if kind == "funding" else 7)
    reply = await alice.get(f"/exports/{kind}?format=ndjson")
    assert reply.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert lines_of(reply) == rows
    file = await alice.get(f"/exports/{kind}")
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert file.headers["Content-Disposition"] == f'attachment; filename="{kind}.csv"'
    table = list(csv.DictReader(io.StringIO(file.body)))
    assert len(table) == len(rows)
    for cells, row in zip(table, rows, strict=True):
        assert {name: text for name, text in cells.items() if name in row} == {
            name: _text(value) for name, value in row.items()
        }
    assert (await alice.get(f"/exports/{kind}?format=csv")).body == file.body


async def test_a_file_has_only_the_period_and_only_the_callers_rows(exchange: Exchange) -> None:
    """`from` is inclusive, `to` is not; of another account nothing; an empty list is a header, or a line of zero rows."""
    alice, bob = await traded(exchange)
    rows = await listed(alice, "ledger")
    period = f"from={rows[1]['time']}&to={rows[-1]['time']}"
    wanted = [row for row in rows if rows[1]["time"] <= row["time"] < rows[-1]["time"]]
    assert lines_of(await alice.get(f"/exports/ledger?format=ndjson&{period}")) == wanted
    mine, theirs = [lines_of(await each.get("/exports/fills?format=ndjson")) for each in (alice, bob)]
    assert not {row["orderId"] for row in mine} & {row["orderId"] for row in theirs}
    nobody = await exchange.user(None)
    assert lines_of(await nobody.get("/exports/fills?format=ndjson")) == []
    assert len((await nobody.get("/exports/fills")).body.splitlines()) == 1


async def test_what_came_later_is_in_the_next_file(exchange: Exchange) -> None:
    """The rows of before are where they were."""
    alice, _ = await traded(exchange, 2)
    before = (await alice.get("/exports/orders?format=ndjson")).body
    placed = await alice.order(clientOrderId="later")
    later = lines_of(await alice.get("/exports/orders?format=ndjson"))
    assert [json.loads(row)["orderId"] for row in before.splitlines()[:-1]] == [row["orderId"] for row in later[:-1]]
    assert later[-1]["orderId"] == placed.body["orderId"]


async def test_what_is_no_export_is_refused(exchange: Exchange) -> None:
    """NOT_FOUND for another kind, INVALID_REQUEST for another format or parameter."""
    alice = await exchange.user()
    assert (await alice.get("/exports/positions")).code == "NOT_FOUND"
    for query in ("format=xlsx", "format=csv&format=csv", "limit=3", "from=yesterday", "cursor=x", "format="):
        assert (await alice.get(f"/exports/fills?{query}")).code == "INVALID_REQUEST", query


async def test_an_api_key_needs_the_scope_read(exchange: Exchange) -> None:
    """As for the lists that they are of."""
    alice = await exchange.user()
    for scope, status in (("read", 200), ("trade", 403), ("withdraw", 403)):
        key = await alice.call("POST", "/api-keys", {"label": scope, "scopes": [scope]})
        assert (await Client(alice.session, alice.url, key.body["secret"]).get("/exports/fills")).status == status


async def test_a_user_has_one_export_at_a_time(exchange: Exchange) -> None:
    """RATE_LIMITED while another is written, and OVERLOADED where too many are; both end with the file."""
    running, alice = exchange.server.app[export_files.EXPORTS], await exchange.user()
    with running.of(alice.user):
        second = await alice.get("/exports/fills")
        assert (second.code, second.details) == ("RATE_LIMITED", {"limit": "exports"})
    assert (await alice.get("/exports/fills")).status == 200
    running._users.update(range(-export_files.AT_ONCE_MAX, 0))
    assert (await alice.get("/exports/fills")).code == "OVERLOADED"


async def test_a_client_that_reads_nothing_is_cut_off(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds its place for a moment only, and the exchange reads no page ahead of it."""
    monkeypatch.setattr(exports, "_TAKEN_WITHIN_S", 0.2)
    monkeypatch.setattr(export_files.NdJson, "rows", lambda _self, _views: b"x" * 1_000_000 + b"\n")
    monkeypatch.setattr(exports, "PAGE_ROWS", 1)
    alice, _ = await traded(exchange, 40)
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    writer.write(
        f"GET /exports/orders?format=ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n\r\n".encode()
    )
    running = exchange.server.app[export_files.EXPORTS]
    await eventually(lambda: _are(running, 1))
    await eventually(lambda: _are(running, 0))
    writer.close()
    del reader


async def test_a_file_that_the_database_cuts_short_is_not_ended(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks instead: no client takes it for the whole list."""
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    alice, _ = await traded(exchange)
    read, pages = exports._read, []

    async def failing(*arguments: Any) -> Any:
        pages.append(1)
        if len(pages) == 3:
            raise exports.StoreUnavailable(outcome_is_unknown=False)
        return await read(*arguments)

    monkeypatch.setattr(exports, "_read", failing)
    with pytest.raises((OSError, aiohttp.ClientError)):
        await alice.get("/exports/ledger")
    assert len(pages) == 3


async def _are(running: export_files.Exports, count: int) -> bool:
    return len(running._users) == count


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
