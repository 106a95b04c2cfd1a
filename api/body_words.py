"""What a body must be, said to people: the field that does not fit, and what is expected of it, without patterns or type names.

The expectation comes from the struct itself: from the type of the field and its bounds, or from the words beside its pattern
(`Meta(extra={"expected": …})` in `schemas.rest`).
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from schemas.rest.bodies import EXPECTED

BODY = "body"
"""The name of the field where the body as a whole is wrong."""
_PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>\w+)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*?)`(?: - at `\$|$)", re.DOTALL)
_STEP = re.compile(r"\[\d+\]|[^.\[\]]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Misfit(NamedTuple):
    """The field that does not fit (`orders[1].price`), and a sentence that says what is expected."""

    field: str
    message: str


def misfit_of(body_type: Any, error: Exception) -> Misfit:
    """Where and why a body does not fit its type."""
    said = str(error)
    found = _PLACE.search(said)
    place, here = _type_at(inspect.type_info(body_type), found["place"] if found else "")
    if not isinstance(error, msgspec.ValidationError):
        return Misfit(BODY, "the body has a number or a character that is out of range")
    if (missing := _MISSING.search(said)) and isinstance(here, inspect.StructType):
        field, wanted = _joined(place, missing["name"]), _field_of(here, missing["name"])
        return Misfit(field, f"{field} is missing" + (f": it must be {expected(wanted)}" if wanted is not None else ""))
    if (unknown := _UNKNOWN.search(said)) and isinstance(here, inspect.StructType):
        return _unknown(place, unknown["name"], here)
    return Misfit(place or BODY, f"{place or 'the body'} must be {expected(here)}")


def expected(kind: inspect.Type) -> str:
    """What a value of this type must be."""
    kind = _present(kind)
    if isinstance(kind, inspect.Metadata) and kind.extra and EXPECTED in kind.extra:
        return str(kind.extra[EXPECTED])
    bare = _bare(kind)
    return _WORDS.get(type(bare), _object)(bare)


def _unknown(place: str, name: str, here: inspect.StructType) -> Misfit:
    """A name that a client made up is repeated only if it is a plain word."""
    names = ", ".join(field.encode_name for field in here.fields)
    allowed = f"the fields are {names}" if names else "there are no fields"
    if not _PLAIN.fullmatch(name):
        return Misfit(place or BODY, f"{place or 'the body'} has an unknown field; {allowed}")
    field = _joined(place, name)
    return Misfit(field, f"{field} is unknown; {allowed}")


def _type_at(whole: inspect.Type, place: str) -> tuple[str, inspect.Type]:
    """A place such as `orders[1].price`, and its type; the whole body if there is no such place: a client may make up a name like one."""
    kind: inspect.Type | None = whole
    for step in _STEP.findall(place):
        bare = _bare(kind) if kind is not None else None
        if isinstance(bare, inspect.ListType):
            kind = bare.item_type
        else:
            kind = _field_of(bare, step) if isinstance(bare, inspect.StructType) else None
    if kind is None:
        return "", whole
    return place, _bare(kind) if isinstance(_bare(kind), inspect.StructType) else kind


def _present(kind: inspect.Type) -> inspect.Type:
    """The type without null: a field that may be null may be left out."""
    if isinstance(kind, inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind


def _bare(kind: inspect.Type) -> inspect.Type:
    kind = _present(kind)
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _field_of(struct: inspect.StructType, name: str) -> inspect.Type | None:
    return next((field.type for field in struct.fields if field.encode_name == name), None)


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _string(kind: inspect.StrType) -> str:
    return "a string" + _bounds(kind.min_length, kind.max_length, "characters")


def _list(kind: inspect.ListType) -> str:
    return "a list" + _bounds(kind.min_length, kind.max_length, "items")


def _number(kind: inspect.IntType) -> str:
    return "a whole number" + (f" from {kind.ge} to {kind.le}" if kind.ge is not None and kind.le is not None else "")


def _choice(kind: inspect.EnumType) -> str:
    return f"one of {', '.join(member.value for member in kind.cls)}"


def _object(_: inspect.Type) -> str:
    return "an object"


def _bounds(low: int | None, high: int | None, what: str) -> str:
    if high is None:
        return ""
    return f" of {low} to {high} {what}" if low else f" of at most {high} {what}"


_WORDS: dict[type[inspect.Type], Callable[[Any], str]] = {
    inspect.StrType: _string,
    inspect.ListType: _list,
    inspect.IntType: _number,
    inspect.EnumType: _choice,
    inspect.BoolType: lambda _: "true or false",
    inspect.DateTimeType: lambda _: 'a time with its zone, like "2030-01-31T12:00:00Z"',
}
