"""Our own bugs and the completeness of the error table."""

import logging
import re
from pathlib import Path

import pytest

from schemas.refusals import HTTP_STATUS, ErrorCode
from tests.api.exchange import Exchange


async def test_a_bug_of_ours_is_answered_and_logged_under_its_request_id(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """INTERNAL_ERROR, nothing of the cause in the answer, all of it in the log."""
    alice = await exchange.user()
    await exchange.execute("ALTER TABLE fills RENAME TO lost")
    with caplog.at_level(logging.ERROR):
        failed = await alice.get("/fills")
    assert (failed.status, failed.code) == (500, "INTERNAL_ERROR")
    assert "fills" not in failed.body["error"]["message"]
    assert failed.headers["X-Request-Id"] in caplog.text
    assert "UndefinedTableError" in caplog.text


async def test_a_bug_in_a_batch_fails_its_requests_and_not_the_next(exchange: Exchange) -> None:
    """500 for those it carried; the queue goes on."""
    alice = await exchange.user()
    await exchange.execute("ALTER TABLE outbox RENAME TO lost")
    assert (await alice.order()).code == "INTERNAL_ERROR"
    await exchange.execute("ALTER TABLE lost RENAME TO outbox")
    assert (await alice.order()).status == 202


def test_every_code_is_produced_by_a_test_through_http() -> None:
    """A code that no test here expects is a code that nobody has seen."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))
    named = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', tests)) | {"INTERNAL_ERROR"}
    assert {str(code) for code in ErrorCode} <= named


def test_every_code_has_a_status() -> None:
    """One table from code to status."""
    assert set(HTTP_STATUS) == set(ErrorCode)
