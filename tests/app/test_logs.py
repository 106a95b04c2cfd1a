"""Each line of a log says what it is about, and nobody's secrets."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from app.logs import LINES_KNOWN_MAX, LogFormat, Sparing, formatter

ROOT = Path(__file__).parents[2]


def line(
    message: str, *arguments: object, extra: dict[str, Any] | None = None, form: LogFormat = LogFormat.JSON
) -> str:
    """One record as it is written."""
    record = logging.getLogger("agents").makeRecord(
        "agents", logging.INFO, __file__, 1, message, arguments, None, extra=extra
    )
    return formatter(form).format(record)


def test_a_line_of_json_has_what_is_known() -> None:
    """The market of the task that logs, and the sequence, order and request that the log call adds."""
    known = {"sequence": 57, "order": "BTC-PERP-57", "request": "req-1"}
    with bound_contextvars(market="BTC-PERP"):
        written = json.loads(line("command %d is undone", 57, extra=known))
    assert written.pop("timestamp")
    assert written == known | {
        "market": "BTC-PERP",
        "event": "command 57 is undone",
        "level": "info",
        "logger": "agents",
    }


def test_lines_for_people_have_the_same() -> None:
    """LOG_FORMAT=console."""
    written = line("it is up", extra={"market": "ETH-PERP"}, form=LogFormat.CONSOLE)
    assert "it is up" in written
    assert "market=ETH-PERP" in written


@pytest.mark.parametrize(
    "secret",
    [
        "cannot connect to postgresql://perpetua:hush-hush@db:5432/perpetua",
        "refused Authorization: Bearer hush-hush",
        "header {'Authorization': 'hush-hush'}",
        "no such user, password=hush-hush",
        '{"password": "hush-hush"}',
        "token eyJhbGciOiJIUzI1NiJ9.hush-hush.hush-hush",
    ],
)
def test_a_secret_in_a_librarys_message_is_left_out(secret: str) -> None:
    """Wherever it is: in the sentence or in the fields added to it."""
    assert "hush-hush" not in line("failed: %s", secret, extra={"cause": secret})


def test_what_a_library_repeats_is_logged_once_in_ten_seconds() -> None:
    """With any arguments; the next line gives how many were left out. Other lines, and ours, are unchanged."""
    clock = [0.0]
    sparing = Sparing(lambda: clock[0])
    lines_kept: list[tuple[str, str, int]] = []

    def log(name: str, message: str, *arguments: object) -> None:
        record = logging.getLogger(name).makeRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
        if sparing.filter(record):
            lines_kept.append((name, record.getMessage(), getattr(record, "left_out", 0)))

    for node in range(5):
        log("aiokafka.client", "no connection to %d", node)
        log("aiokafka.client", "no metadata")
        log("agents.relay", "it waits")
        clock[0] += 3
    assert lines_kept == [
        ("aiokafka.client", "no connection to 0", 0),
        ("aiokafka.client", "no metadata", 0),
        *[("agents.relay", "it waits", 0)] * 4,
        ("aiokafka.client", "no connection to 4", 3),
        ("aiokafka.client", "no metadata", 3),
        ("agents.relay", "it waits", 0),
    ]


def test_lines_that_never_come_again_are_not_kept_forever() -> None:
    """A library that puts numbers into its text itself has no end of different ones."""
    sparing = Sparing(lambda: 0.0)
    for number in range(2 * LINES_KNOWN_MAX):
        record = logging.getLogger("faust").makeRecord("faust", logging.WARNING, __file__, 1, f"at {number}", (), None)
        assert sparing.filter(record)
    assert len(sparing._passed) <= LINES_KNOWN_MAX


def test_nothing_is_logged_outside_the_log() -> None:
    """Every line goes through the one formatter: a logger of another library's would write anything anywhere."""
    rooms = ("schemas", "exchange", "tables", "broker", "store", "agents", "api", "app")
    sources = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(sources) > 200
    assert not [path for path in sources if re.search(r"\bget_logger\b", path.read_text())]
