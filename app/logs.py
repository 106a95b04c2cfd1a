"""Logging to standard error: one line of JSON per record, or lines for people.

Each line names its subject where known: `market`, `sequence` (of a command or an event), `order`, `request`.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from typing import Any

REPEATED_EVERY_S = 10.0
LINES_KNOWN_MAX = 1_000
QUIET = ("aiokafka", "faust", "mode", "asyncio", "tables")
_SECRETS = (
    (re.compile(r"(\w://[^\s:/@]*):[^\s@]+@"), r"\1:***@"),  # a password in an address
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),  # a token
    (
        re.compile(
            r"(?i)\b(bearer\s+|(?:password|secret|authorization)['\"]?\s*[=:]\s*['\"]?(?:bearer\s+)?)[^\s'\",}]+"
        ),
        r"\1***",
    ),
)


class LogFormat(StrEnum):
    """The format of log lines."""

    JSON = "json"
    CONSOLE = "console"


class Sparing(logging.Filter):
    """Lets a line that a library repeats through once in 10 s, with the number suppressed since (`left_out`).

    During a broker outage, three markets of one worker wrote 160 lines a second. The exchange's own lines all pass.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.name.partition(".")[0] not in QUIET:
            return True
        key, now_s = (record.name, str(record.msg)), self._now_s()
        passed_s, left_out = self._passed.get(key, (-REPEATED_EVERY_S, 0))
        if now_s - passed_s < REPEATED_EVERY_S:
            self._passed[key] = (passed_s, left_out + 1)
            return False
        if len(self._passed) >= LINES_KNOWN_MAX:
            self._passed.clear()
        self._passed[key] = (now_s, 0)
        if left_out:
            record.left_out = left_out
        return True


def configure_logs(form: LogFormat = LogFormat.JSON) -> None:
    """Send all logs through one formatter; chatty libraries from WARNING up (`tables` logs on behalf of Faust)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    handler.addFilter(Sparing())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(form: LogFormat) -> logging.Formatter:
    """The formatter for a log format."""
    import structlog  # takes a sixth of the start of a command, and most commands log nothing

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=False)
    if form is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _without_secrets(_: object, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets. None is logged on purpose; this is for what libraries put into their errors."""
    for name, value in record.items():
        if isinstance(value, str):
            for secret, instead in _SECRETS:
                value = secret.sub(instead, value)  # noqa: PLW2901 - one after the other
            record[name] = value
    return record
