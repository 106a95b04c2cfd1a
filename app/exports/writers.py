"""Files of exported rows: CSV and JSON lines as `GET /exports` writes them, and Parquet. Each row begins with its account.

Money, prices and quantities are text in every format, also in Parquet, so nothing is rounded and no column is too narrow: cast
them to a decimal of the precision that you need. A whole number is one in Parquet, what is null is null there.

Exception
`-- ParquetMissing   the extra `parquet` is not installed
"""

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, BinaryIO, Protocol, get_args

import msgspec

from api.routes.reports.export_files import Csv, Format, NdJson

PARQUET = "parquet"
ROWS_A_GROUP = 20_000


class ParquetMissing(Exception):
    """Parquet needs a library that is an extra."""

    def __init__(self) -> None:
        super().__init__('Parquet needs pyarrow, of the extra "parquet" (pyproject.toml): pip install pyarrow')


class Writer(Protocol):
    """Writes rows as they come, and keeps no more than a bounded number of them."""

    def write(self, rows: list[Any]) -> None:
        """Write these rows after those written before."""

    def close(self) -> None:
        """End the file."""


def row_with_account(row: type[msgspec.Struct]) -> tuple[type[msgspec.Struct], Callable[[str, msgspec.Struct], Any]]:
    """The struct of a row that begins with its account, and what makes one."""
    fields = msgspec.structs.fields(row)
    named: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("user_id", str),
        *((field.name, field.type) if field.required else (field.name, field.type, field.default) for field in fields),
    ]
    renamed = {"user_id": "userId"} | {field.name: field.encode_name for field in fields}
    omits = row.__struct_config__.omit_defaults
    struct = msgspec.defstruct(row.__name__, named, rename=renamed, omit_defaults=omits)
    return struct, lambda account, view: struct(account, *msgspec.structs.astuple(view))


def writer_to(output: BinaryIO, format_: str, row: type[msgspec.Struct]) -> Writer:
    """What writes a file of rows of this struct. Raises ParquetMissing."""
    if format_ == PARQUET:
        return _Parquet(output, row)
    return _Text(output, Csv(row) if format_ == Format.CSV else NdJson())


class _Text:
    """A file of the API's writers."""

    def __init__(self, output: BinaryIO, writer: Csv | NdJson) -> None:
        self._output, self._writer = output, writer
        output.write(writer.head())

    def write(self, rows: list[Any]) -> None:
        self._output.write(self._writer.rows(rows))

    def close(self) -> None:
        self._output.write(self._writer.tail())
        self._output.flush()


class _Parquet:
    """A column a field, compressed, in groups of rows."""

    def __init__(self, output: BinaryIO, row: type[msgspec.Struct]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ParquetMissing from error
        fields = msgspec.structs.fields(row)
        self._arrow = pyarrow
        self._names = [field.name for field in fields]
        self._schema = pyarrow.schema([(field.encode_name, _arrow_type(pyarrow, field.type)) for field in fields])
        self._file = pyarrow.parquet.ParquetWriter(output, self._schema, compression="zstd")
        self._output = output
        self._kept: list[Any] = []

    def write(self, rows: list[Any]) -> None:
        self._kept += rows
        if len(self._kept) >= ROWS_A_GROUP:
            self._write_group()

    def close(self) -> None:
        self._write_group()
        self._file.close()
        self._output.flush()

    def _write_group(self) -> None:
        arrays = [self._column(name, kind) for name, kind in zip(self._names, self._schema.types, strict=True)]
        self._file.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
        self._kept = []

    def _column(self, name: str, kind: Any) -> Any:
        values: Sequence[Any] = [getattr(row, name) for row in self._kept]
        if kind == self._arrow.string():
            values = [None if value is None else str(value) for value in values]
        return self._arrow.array(values, type=kind)


def _arrow_type(pyarrow: Any, kind: Any) -> Any:
    """Whole numbers and truths as such, anything else as text."""
    parts = [part for part in get_args(kind) if part is not NoneType] or [kind]
    if parts == [bool]:
        return pyarrow.bool_()
    return pyarrow.int64() if parts == [int] else pyarrow.string()
