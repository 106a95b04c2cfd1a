"""From Python to the wire: decimals become plain decimal texts, never a float, never an exponent."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


def encoded(value: Any) -> bytes:
    """A request as JSON."""
    return msgspec.json.encode(plain(value))


def plain(value: Any) -> Any:
    """A request as what JSON knows. Raises ValueError for a float: it is no exact number."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value, builtin_types=(Decimal, datetime))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        raise ValueError(f"{value!r} is a float: give a Decimal")
    if isinstance(value, Decimal):
        return decimal_text(value)
    return value


def decimal_text(value: Decimal) -> str:
    """All digits of a finite decimal, such as `0.00000001`."""
    if not value.is_finite():
        raise ValueError(f"{value} is not a number")
    return format(value, "f")
