"""Our own bugs and the completeness of the error table."""

import logging
import re
from pathlib import Path

import pytest

from schemas.refusals import HTTP_STATUS, ErrorCode
from tests.api.exchange import Exchange
from tests.api.test_fast_path import BID

NOT_PLAIN = {"Content-Type": "application/json; charset=utf-8"}
"""What sends an order aiohttp's own way."""


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
    assert _requests_in(caplog) == [failed.headers["X-Request-Id"]]


async def test_what_the_database_refuses_fails_its_request_and_not_the_next(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """500 for what it carried, whichever way it came, logged under the request id that is answered; the queue continues.

    The log says what was refused and why, never the body; and nothing is written outside the log.
    """
    alice, body = await exchange.user(), BID | {"quantity": "0.123"}
    await exchange.execute("ALTER TABLE outbox RENAME TO lost")
    with caplog.at_level(logging.ERROR):
        failed = [
            await alice.call("POST", "/orders", body),
            await alice.call("POST", "/orders", body, headers=NOT_PLAIN),
        ]
    assert {reply.code for reply in failed} == {"INTERNAL_ERROR"}
    assert _requests_in(caplog) == [reply.headers["X-Request-Id"] for reply in failed]
    messages = [record.getMessage() for record in caplog.records if record.name == "store.submission.submitter"]
    assert ["SubmitOrder" in line and "UndefinedTableError" in line for line in messages].count(True) == len(failed)
    assert "0.123" not in caplog.text
    assert capsys.readouterr().out == ""
    await exchange.execute("ALTER TABLE lost RENAME TO outbox")
    assert (await alice.order()).status == 202


async def test_a_batch_that_breaks_is_logged_under_its_requests(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug on the quick way is answered 500 under the id that the log names."""
    alice = await exchange.user()
    exchange.services.submissions._idle[0]._registry = None  # type: ignore[assignment]  # a bug of ours
    with caplog.at_level(logging.ERROR):
        failed = await alice.order()
    assert (failed.status, failed.code) == (500, "INTERNAL_ERROR")
    assert failed.headers["X-Request-Id"] in _requests_in(caplog)


def test_every_code_is_produced_by_a_test_through_http() -> None:
    """A code that no test here expects has never been seen."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))
    named = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', tests)) | {"INTERNAL_ERROR"}
    assert {str(code) for code in ErrorCode} <= named


def test_every_code_has_a_status() -> None:
    """One table from code to status."""
    assert set(HTTP_STATUS) == set(ErrorCode)


def _requests_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The request that each line of the API names, as a field that programs find."""
    return [record.__dict__["request"] for record in caplog.records if hasattr(record, "request")]
