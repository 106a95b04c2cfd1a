"""The argument of the projection's writing statement: one JSON object with an array for each kind of row, each row as an array.

The annotations of `store.projection.rows.WrittenRows` are the only list of kinds, columns and types.

Encoding one array per column takes asyncpg several times as long. Integers are read with `->>`, as text, so that none
becomes a float.
"""

from datetime import datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from store.projection.rows import WrittenRows

_TYPES: dict[object, str] = {int: "int8", str: "text", bool: "bool", datetime: "timestamptz"}


def _column_type(annotation: Any) -> str:
    """The PostgreSQL type of a field: None is allowed in every column, `Annotated` names another type."""
    kind = next((part for part in get_args(annotation) if part is not type(None)), annotation)
    if get_origin(annotation) is Annotated or get_origin(kind) is Annotated:
        metadata = (annotation if get_origin(annotation) is Annotated else kind).__metadata__
        return str(metadata[0])
    return _TYPES[kind]


def _columns(rows: Any) -> dict[str, str]:
    (row,) = get_args(rows)
    return {name: _column_type(hint) for name, hint in get_type_hints(row, include_extras=True).items()}


COLUMNS = {kind: _columns(rows) for kind, rows in get_type_hints(WrittenRows, include_extras=True).items()}
"""Columns with their types of each kind of row, in the order of the array's elements."""


def sql_fragments() -> dict[str, str]:
    """The values of the placeholders in the statement: `{orders}` is the rows, `{orders_columns}` their column names.

    `{is_cancel_failed}` says of an order `o` whether the command that cancels it failed.
    """
    fragments: dict[str, str] = {}
    for kind, columns in COLUMNS.items():
        values = [f"(r->>{n})::{type_} AS {name}" for n, (name, type_) in enumerate(columns.items())]
        elements = f"jsonb_array_elements($1::jsonb->'{kind}') WITH ORDINALITY AS e(r, place)"
        fragments[kind] = f"(SELECT {', '.join(values)}, place FROM {elements}) AS t"  # noqa: S608 - our own names
        fragments[f"{kind}_columns"] = ", ".join(columns)
    fragments["is_cancel_failed"] = (
        f"EXISTS (SELECT FROM {fragments['failures']}"
        " WHERE t.order_id = o.order_id AND t.command_seq = coalesce(o.cancel_seq, t.command_seq))"
    )
    return fragments
