"""`tail` prints the fills of a market as the stream has them, from any sequence, without asking a broker."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from click.testing import CliRunner, Result

from app.cli import cli
from schemas.executions import encode_execution
from schemas.fills import encode_fill
from schemas.orders import Side
from store.command_log.commands import MarketUnknown
from store.queries.market_data.executions import read_executions
from store.queries.market_data.public_fills import read_public_fills
from tests.store.projection_builders import an_order, open_exchange
from tests.store.test_public_fills import everything_forced

REPOSITORY = Path(__file__).parents[2]
NO_BROKER = "127.0.0.1:1"


@pytest_asyncio.fixture
async def lines(database: str) -> AsyncIterator[list[str]]:
    """The bodies of five fills that were matched, and persisted, before the broker was lost."""
    opened = await open_exchange(database)
    await everything_forced(opened)
    yield [encode_fill(fill).decode() for fill in await read_public_fills(opened.session, "BTC-PERP", 1, 100)]
    await opened.close()


async def _tail(database: str, *words: str) -> Result:
    runner = CliRunner(env={"DATABASE_URL": database, "BROKER_URL": NO_BROKER})
    return await asyncio.to_thread(runner.invoke, cli, ["tail", *words])


async def test_each_trade_is_a_line_as_the_stream_has_it(database: str, lines: list[str]) -> None:
    """All of them, the forced ones too, in the bytes of their records; the broker they were sent to is gone."""
    printed = await _tail(database, "--market", "BTC-PERP")
    assert (printed.exit_code, printed.output.splitlines()) == (0, lines)


async def test_a_tail_of_executions_has_both_sides_of_each_fill(database: str, lines: list[str]) -> None:
    """In the bytes of the records of that topic, with accounts; from the middle of a trade too."""
    printed = await _tail(database, "--market", "BTC-PERP", "--topic", "executions", "--from-sequence", "2")
    opened = await open_exchange(database)
    stored = await read_executions(opened.session, "BTC-PERP", 2, 100)
    await opened.close()
    assert printed.output.splitlines() == [encode_execution(each).decode() for each in stored]
    assert len(stored) == 2 * len(lines) - 1


async def test_a_tail_starts_at_the_given_sequence(database: str, lines: list[str]) -> None:
    """From a sequence on; after the newest there is nothing, which is no error."""
    printed = await _tail(database, "--market", "BTC-PERP", "--from-sequence", "4")
    assert [json.loads(line)["sequence"] for line in printed.output.splitlines()] == [4, 5]
    assert printed.output.splitlines() == lines[3:]
    beyond = await _tail(database, "--market", "BTC-PERP", "--from-sequence", "6")
    assert (beyond.exit_code, beyond.stdout) == (0, "")


async def test_wrong_use_of_tail_is_reported(database: str) -> None:
    """No market, a market that is not listed, a sequence that is none."""
    assert (await _tail(database)).exit_code == 2
    assert (await _tail(database, "--market", "BTC-PERP", "--from-sequence", "0")).exit_code == 2
    assert isinstance((await _tail(database, "--market", "NOPE-PERP")).exception, MarketUnknown)


async def test_a_tail_that_follows_prints_what_comes(database: str, lines: list[str]) -> None:
    """The fifth fill is there; the sixth is printed when it has been matched and persisted."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "tail", "--market", "BTC-PERP", "--from-sequence", "5", "--follow"),
        cwd=REPOSITORY,
        env=os.environ | {"DATABASE_URL": database},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).decode().strip() == lines[4]
        later = await open_exchange(database)
        await later.match("BTC-PERP")
        users = [await later.user(f"{name}@later.io") for name in ("ann", "bob")]
        for user, side in zip(users, (Side.BUY, Side.SELL), strict=True):
            await later.submit("BTC-PERP", an_order(user, side, 1, 590_000))
        await later.settle()
        await later.close()
        assert json.loads(await process.stdout.readline())["sequence"] == 6
    finally:
        process.terminate()
        await process.wait()
