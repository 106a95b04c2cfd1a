"""The JSON Schema of structs in the form that code generators understand.

msgspec writes schemas that are right and that generators stumble over: enums without a type, `anyOf` with null, defaults that turn
an optional field into one that is always there. Nothing here changes what is valid, but what the exchange writes is said exactly:
a field that is always written is required, one that is left out is never null.
"""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, get_origin

import msgspec

from schemas.orders import FillCause

JsonObject = dict[str, Any]

EXTENSIBLE = frozenset({FillCause.__name__})
"""Enums that get new words within a version of the contract: strings for a generator, so that old clients read new words."""
_NULLABLE_IN_PLACE = frozenset({"string", "integer", "boolean", "object", "array"})
_TYPES: dict[type, str] = {str: "string", int: "integer"}
_PAGE = re.compile(r"\bPage_([A-Za-z]+?)(?:View)?_(?![A-Za-z_])")


def schemas_of(types: list[Any]) -> tuple[list[JsonObject], JsonObject]:
    """A schema for each type, and the components that they refer to."""
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    omitting = {struct.__name__ for struct in _structs_of(types) if struct.__struct_config__.omit_defaults}
    written = {name: _component(name, schema, name in omitting) for name, schema in components.items()}
    return [clear(schema) for schema in found], {_short(name): schema for name, schema in written.items()}


def _structs_of(types: list[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every struct that is part of these types."""
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[type[msgspec.Struct]] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in seen:
                continue
            seen.add(node.cls)
            yield get_origin(node.cls) or node.cls  # a page of something is a generic struct
        if isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field):
            waiting += [getattr(node, name) for name in node.__struct_fields__]
        elif isinstance(node, tuple):
            waiting += node


def _component(name: str, schema: JsonObject, omits_defaults: bool) -> JsonObject:
    if name in EXTENSIBLE:
        schema = {key: value for key, value in schema.items() if key != "enum"} | {
            "type": "string",
            "x-extensible-enum": schema["enum"],
        }
    if "properties" in schema:
        schema = _with_defaults_in_words(schema, omits_defaults)
    cleared: JsonObject = clear(schema)
    return cleared | {"title": _short(name)}


def _with_defaults_in_words(schema: JsonObject, omits_defaults: bool) -> JsonObject:
    """An object whose defaults are words. What is sent without them is left out; what always writes them requires them."""
    is_request = schema.get("additionalProperties") is False
    properties, required = {}, list(schema.get("required", ()))
    for name, field in schema["properties"].items():
        properties[name] = field
        if "default" not in field:
            continue
        default = field["default"]
        properties[name] = bare = {key: value for key, value in field.items() if key != "default"}
        if is_request:
            properties[name] = bare if default is None else _saying(bare, f"Default: {_shown(default)}.")
        elif omits_defaults:
            properties[name] = _never_null(bare) if default is None else _saying(bare, f"Left out: {_shown(default)}.")
        else:
            required.append(name)
    return schema | {"properties": properties} | ({"required": required} if required else {})


def _saying(schema: JsonObject, words: str) -> JsonObject:
    known = schema.get("description", "").rstrip(".")
    return schema | {"description": f"{known}. {words}" if known else words}


def _shown(default: Any) -> str:
    return "none" if default == [] else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _never_null(schema: JsonObject) -> JsonObject:
    """A schema without its alternative null."""
    kept = [each for each in schema["anyOf"] if each != {"type": "null"}]
    alternatives: JsonObject = kept[0] if len(kept) == 1 else {"anyOf": kept}
    return {key: value for key, value in schema.items() if key != "anyOf"} | alternatives


def clear(schema: Any) -> Any:
    """A schema, and all in it, with types on its enums, null as a type, sizes of its integers, and patterns of any language."""
    if isinstance(schema, list):
        return [clear(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cleared = {key: _cleared(key, value) for key, value in schema.items()}
    return _open_if_bare(_sized(_as_list_of_one_type(_nullable(_typed(cleared)))))


def _cleared(key: str, value: Any) -> Any:
    """Only Python's patterns need the guard against a final newline."""
    match key, value:
        case "pattern", str():
            return value.replace("$(?!\\n)", "$")
        case "description", str():
            return inspect.cleandoc(value)
        case "$ref", str():
            return _short(value)
        case "properties", dict():
            return {name: clear(field) for name, field in value.items()}
    return clear(value)


def _typed(schema: JsonObject) -> JsonObject:
    values = schema.get("enum")
    if not isinstance(values, list) or "type" in schema:
        return schema
    (kind,) = {type(value) for value in values}
    if len(values) == 1:
        return {"type": _TYPES[kind], "const": values[0]} | {key: each for key, each in schema.items() if key != "enum"}
    return {"type": _TYPES[kind]} | schema


def _nullable(schema: JsonObject) -> JsonObject:
    """`anyOf` of a plain type and null as one schema of two types. A reference, or an enum of numbers, stays an alternative."""
    kept = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kept) != 1 or len(schema["anyOf"]) != 2 or kept[0].get("type") not in _NULLABLE_IN_PLACE:
        return schema
    if "enum" in kept[0] and kept[0]["type"] != "string":
        return schema
    one: JsonObject = kept[0] | {key: value for key, value in schema.items() if key != "anyOf"}
    values = {"enum": [*one["enum"], None]} if "enum" in one else {}
    return one | {"type": [one["type"], "null"]} | values


def _sized(schema: JsonObject) -> JsonObject:
    return {"format": "int64"} | schema if _is_of("integer", schema) else schema


def _as_list_of_one_type(schema: JsonObject) -> JsonObject:
    """A tuple of equal parts as a list of fixed length."""
    parts = schema.get("prefixItems")
    if not parts or schema.get("items") is not False or any(part != parts[0] for part in parts):
        return schema
    return {key: value for key, value in schema.items() if key != "prefixItems"} | {"items": parts[0]}


def _open_if_bare(schema: JsonObject) -> JsonObject:
    """An object of any content says so: else some generators let it have none."""
    is_bare = not schema.keys() & {"properties", "additionalProperties"}
    return schema | {"additionalProperties": True} if is_bare and _is_of("object", schema) else schema


def _is_of(kind: str, schema: JsonObject) -> bool:
    kinds = schema.get("type")
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def _short(name: str) -> str:
    """`Page_OrderView_` is called OrderPage."""
    return _PAGE.sub(r"\1Page", name)
