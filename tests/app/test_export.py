"""`export` writes every row of one account, or of all, once and in a stable order, exactly, in bounded memory."""

import asyncio
import csv
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pyarrow.parquet
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from api.routes.reports import export_files
from app.cli import cli
from app.cli.reading import FORMATS, KINDS
from app.exports.writers import PARQUET
from tests.api.exchange import Client, Exchange
from tests.api.test_exports import listed, traded

REPOSITORY = Path(__file__).parents[2]
ROOM_KB = 96 * 1024
log = logging.getLogger(__name__)
FULL = [pytest.mark.chaos, pytest.mark.timeout(3_600)]
_STARTER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
_MANY = """
INSERT INTO ledger (account, type, amount, balance_after, transfer_id, at)
SELECT $1::int8, 'DEPOSIT', n, n, n, now() + n * interval '1 ms' FROM generate_series(1, $2::int8) n
"""


@pytest_asyncio.fixture(name="traders")
async def two_traders(database: str) -> AsyncIterator[tuple[Client, Client]]:
    """Two accounts with orders, fills, a funding and ledger entries."""
    exchange = await Exchange(database).start()
    yield await traded(exchange)
    await exchange.stop()


async def _export(database: str, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env={"DATABASE_URL": database}).invoke, cli, ["export", *words])


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("kind", KINDS)
async def test_all_accounts_are_one_file_in_the_order_of_their_numbers(
    database: str, traders: tuple[Client, Client], kind: str
) -> None:
    """Each row as its list shows it, with its account in front; a second export has the same bytes."""
    rows = [(str(client.user), row) for client in sorted(traders, key=_number) for row in await listed(client, kind)]
    assert len(rows) > 1
    printed = await _export(database, kind, "--all", "--format", "ndjson")
    assert printed.exit_code == 0
    *lines, last = printed.stdout_bytes.splitlines()
    assert [json.loads(line) for line in lines] == [{"userId": user} | row for user, row in rows]
    assert json.loads(last)["rows"] == len(rows)
    assert (await _export(database, kind, "--all", "--format", "ndjson")).stdout_bytes == printed.stdout_bytes
    table = list(csv.DictReader(io.StringIO((await _export(database, kind, "--all")).stdout)))
    assert [each["userId"] for each in table] == [user for user, _ in rows]
    for cells, (_, row) in zip(table, rows, strict=True):
        assert {name: cells[name] for name in row} == {name: _text(value) for name, value in row.items()}


@pytest.mark.parametrize("kind", KINDS)
async def test_parquet_has_the_same_values_exactly(
    database: str, traders: tuple[Client, Client], kind: str, tmp_path: Path
) -> None:
    """Money is the text of the API, a whole number is one, null is null."""
    file = tmp_path / "rows.parquet"
    done = await _export(database, kind, "--all", "--format", "parquet", "--output", str(file))
    assert done.exit_code == 0, done.output
    table = pyarrow.parquet.read_table(file).to_pylist()
    rows = [row for client in sorted(traders, key=_number) for row in await listed(client, kind)]
    assert [{name: each[name] for name in row} for each, row in zip(table, rows, strict=True)] == rows


async def test_one_account_and_a_period(database: str, traders: tuple[Client, Client]) -> None:
    """`--from` is inclusive, `--to` is not; of the other account nothing."""
    alice, _ = traders
    rows = await listed(alice, "ledger")
    everything = await _export(database, "ledger", "--user", str(alice.user), "--format", "ndjson")
    assert len(everything.stdout.splitlines()) == len(rows) + 1
    after = await _export(database, "ledger", "--user", str(alice.user), "--from", "2099-01-01", "--format", "ndjson")
    before = await _export(database, "ledger", "--user", str(alice.user), "--to", "2001-01-01", "--format", "ndjson")
    for empty in (after, before):
        assert json.loads(empty.stdout)["rows"] == 0


def test_every_list_and_format_of_the_api_is_offered() -> None:
    """The command line names them itself, so that it need not load the API; Parquet is its own."""
    assert set(KINDS) == set(export_files.KINDS)
    assert set(FORMATS) == {*export_files.Format, PARQUET}


async def test_wrong_use_is_refused(database: str) -> None:
    """Neither or both of --user and --all, a user that is not there, an unknown kind, a time that is none."""
    for words in (
        ["fills"],
        ["fills", "--all", "--user", "1"],
        ["money", "--all"],
        ["fills", "--all", "--from", "noon"],
    ):
        assert (await _export(database, *words)).exit_code == 2
    assert "there is no user" in (await _export(database, "fills", "--user", "999999")).output


async def test_parquet_without_its_library_names_the_extra(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read or written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = await _export(database, "fills", "--all", "--format", "parquet")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "parquet" in refused.stderr


@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("rows", [60_000, pytest.param(1_000_000, marks=FULL)])
async def test_memory_does_not_grow_with_the_rows(
    database: str, traders: tuple[Client, Client], tmp_path: Path, format_: str, rows: int
) -> None:
    """The most memory that the command held is within 96 MiB of what it holds for a few rows."""
    account = traders[0].user
    few = await asyncio.to_thread(_peak_kb, database, account, format_, tmp_path / "few")
    session = await asyncpg.connect(database)
    await session.execute(_MANY, account, rows)
    await session.close()
    many = await asyncio.to_thread(_peak_kb, database, account, format_, tmp_path / "many")
    log.info("%s: %d rows, %d MiB at most, %d MiB for a few", format_, rows, many // 1024, few // 1024)
    assert many - few < ROOM_KB
    assert (tmp_path / "many").stat().st_size > (tmp_path / "few").stat().st_size


def _peak_kb(database: str, account: int, format_: str, output: Path) -> int:
    """The peak memory of an export whose standard output goes to a file.

    A small process starts it and asks: the peak of a child includes what its parent held when it forked.
    """
    words = ["-m", "app", "export", "ledger", "--user", str(account), "--format", format_]
    with output.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", _STARTER, sys.executable, *words],
            cwd=REPOSITORY,
            env=os.environ | {"DATABASE_URL": database},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(done.stderr.splitlines()[-1])


def _number(client: Client) -> int:
    return client.user
