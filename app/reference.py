"""The pages of docs/ that are generated from the code: `python -m app.reference` writes them.

A test compares them with the files, so that no setting and no code is missing or wrong.
"""

import ast
import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from api.access.budgets import Budget
from api.documents.record_schemas import schema_files
from api.errors import RETRIABLE
from app.settings import FILE_NAMES, LOCAL_RATES, PRODUCTION_RATES, Settings
from schemas.refusals import HTTP_STATUS, MEANING, ErrorCode

DOCS = Path(__file__).parents[1] / "docs"
_RATE = "rate_limit_"
_WRITTEN_BY = "<!-- Written by `python -m app.reference`. -->"


def configuration_page() -> str:
    """Every setting: its name in the environment, its values, its default, its meaning."""
    rows = [_setting_row(name, field) for name, field in Settings.model_fields.items() if not name.startswith(_RATE)]
    rates = [_rate_row(budget) for budget in Budget]
    files = ", ".join(f"`{name}_FILE`" for name in FILE_NAMES)
    return _page(
        "Configuration",
        "A process reads its settings from the environment and validates all of them before it starts. All faults are reported"
        " together, with exit code 2. `python -m app config` shows the effective settings without secrets, and the source of each value,"
        " including those taken from the exchange that runs in `DATA`. An empty value counts as unset."
        f" Settings that can be read from a file: {files}.",
        _table(("name", "values", "default", "meaning"), rows),
        "## Rates",
        "`100/second`, `10/5 minutes` or `off`. Requests above the limit are answered 429 `RATE_LIMITED`"
        " ([security](security.md)).",
        _table(("name", "counts", "default in production", "default locally"), rates),
    )


def errors_page() -> str:
    """Every code of the REST contract: its status and its meaning."""
    rows = [
        (f"`{code}`", str(HTTP_STATUS[code]), f"{MEANING[code]}.{_AGAIN if code in RETRIABLE else ''}")
        for code in sorted(ErrorCode, key=lambda code: (HTTP_STATUS[code], code))
    ]
    return _page(
        "Errors",
        'Every error is `{"error": {"code", "message", "details"?, "requestId"}}`. The code and its status never change; the'
        " message is for people and may change. Where a request is malformed, `details.field` names the field, and the message"
        " says what is expected. `/openapi.json` lists the codes of each route.",
        _table(("code", "status", "meaning"), rows),
    )


@cache
def meanings() -> dict[str, str]:
    """The text after each field of the settings. Pydantic can read it too, but only at every start of every process."""
    tree = ast.parse(inspect.getsource(Settings))
    settings = next(statement for statement in tree.body if isinstance(statement, ast.ClassDef))
    meanings = {}
    for field, text in pairwise(settings.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                meanings[name] = meaning
    return meanings


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    **{f"schemas/{name}": partial(str, text) for name, text in schema_files().items()},
}
_AGAIN = " Sent with `Retry-After`."


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", _WRITTEN_BY, *parts)) + "\n"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ("---",) * len(heads), *rows))


def _setting_row(name: str, field: FieldInfo) -> tuple[str, ...]:
    return f"`{name.upper()}`", _values(field), _default(field.default), meanings()[name]


def _rate_row(budget: Budget) -> tuple[str, ...]:
    name = f"{_RATE}{budget.replace('-', '_')}"
    return f"`{name.upper()}`", meanings()[name], PRODUCTION_RATES[budget], LOCAL_RATES[budget]


def _values(field: FieldInfo) -> str:
    """The allowed values, as far as the type defines them."""
    kind: Any = field.annotation
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{value}`" for value in kind)
    bounds = [getattr(limit, name) for name in ("ge", "le") for limit in field.metadata if hasattr(limit, name)]
    if bounds:
        return " to ".join(map(str, bounds))
    return {bool: "`0`, `1`", Path: "a path", str: "text"}.get(kind, "a list")


def _default(value: object) -> str:
    if value is None or value in ("", (), {}, frozenset()):
        return "unset"
    return f"`{int(value) if isinstance(value, bool) else value}`"


def write_pages() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    write_pages()
