"""The log of a process, to standard error: a line of JSON a record, or lines for people.

Each line says what it is about where that is known: `market`, `sequence` (of a command or an event), `order`, `request`.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any

import structlog

QUIET = ("aiokafka", "faust", "mode", "asyncio", "alembic", "tables")
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
    """How a record is written."""

    JSON = "json"
    CONSOLE = "console"


def configure_logs(form: LogFormat = LogFormat.JSON) -> None:
    """Send the log of every library and of ours through one formatter; chatty libraries from WARNING up (`tables` speaks for Faust)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(form: LogFormat) -> logging.Formatter:
    """How each record becomes a line."""
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
    """None is logged on purpose; this is for what a library puts into an error."""
    for name, value in record.items():
        if isinstance(value, str):
            for secret, instead in _SECRETS:
                value = secret.sub(instead, value)  # noqa: PLW2901 - one after the other
            record[name] = value
    return record
