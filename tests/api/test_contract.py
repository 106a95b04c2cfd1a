"""What the document promises and what the server does, compared by schemathesis with all its checks."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agents.dead_letter_retry import retry_for_operator
from api.routes import ALL_ROUTES
from api.services import DeadLetters
from broker.dead_letters import StoredLetter
from tests.api.exchange import Exchange

CONFIG = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("schemathesis")
CASES_MIN = 500
"""Of a short run; fewer would mean that most routes were not reached."""


async def no_letters() -> list[StoredLetter]:
    """An empty topic."""
    return []


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """As the other tests have it, but on a busy machine a drain may take its time."""
    letters = DeadLetters(no_letters, retry_for_operator)
    listening = await Exchange(database, dead_letters=letters).start(drain_timeout_s=30.0)
    yield listening
    await listening.stop()


@contextlib.asynccontextmanager
async def matching(exchange: Exchange) -> AsyncIterator[None]:
    """The exchange with its engine at work, so that orders end and a drain comes to its end."""

    async def match_on() -> None:
        while True:
            await exchange.run_engine()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(match_on())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def cases_run(exchange: Exchange, folder: Path, token: str | None, *options: str) -> int:
    """Let schemathesis loose on every route, with a token or without; how many cases it ran. Fails with its findings."""
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "--config-file", CONFIG, "run", f"http://127.0.0.1:{exchange.port}/openapi.json"),
        *("--url", f"http://127.0.0.1:{exchange.port}"),
        *("--checks", "all", "--continue-on-failure", "--no-shrink", "--no-color", *options),
        *("--generation-database", "none", "--report", "json", "--report-json-path", report),
        *(() if token is None else ("--header", f"Authorization: Bearer {token}")),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    contents = json.loads(report.read_bytes())
    assert contents["complete"], contents["stop_reason"]
    assert contents["operations"]["tested"] == len(ALL_ROUTES) - 1, "each but the document's own, which it has read"
    return int(contents["test_cases"]["generated"])


async def test_the_server_does_what_its_document_says(exchange: Exchange, tmp_path: Path) -> None:
    """To an administrator: no undocumented status, header, body or method, no server error, no nonsense accepted."""
    boss = await exchange.user("1000000", is_admin=True)
    async with matching(exchange):
        assert await cases_run(exchange, tmp_path, boss.token, "--max-examples", "2") >= CASES_MIN


async def test_nobody_is_answered_as_the_document_says(exchange: Exchange, tmp_path: Path) -> None:
    """Without a token: the same checks, and no guard that is passed over."""
    phases = ("--max-examples", "4", "--phases", "examples,fuzzing")
    assert await cases_run(exchange, tmp_path, None, *phases) >= CASES_MIN // 10


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
async def test_the_server_does_what_its_document_says_many_times(exchange: Exchange, tmp_path: Path) -> None:
    """Both with 200 examples a route."""
    boss = await exchange.user("1000000", is_admin=True)
    async with matching(exchange):
        as_user = await cases_run(exchange, tmp_path, boss.token, "--max-examples", "200")
        as_nobody = await cases_run(exchange, tmp_path, None, "--max-examples", "200")
    print(f"schemathesis cases: {as_user} as a user, {as_nobody} as nobody")  # noqa: T201 - what was measured
    assert min(as_user, as_nobody) >= 10 * CASES_MIN
