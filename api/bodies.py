"""Request bodies: read within bounded time and size, and decoded into their struct, or refused."""

import asyncio
import json
from collections.abc import Awaitable, Iterator
from typing import Any, Generic, TypeVar, get_args

import msgspec
from aiohttp import web

from api.body_words import BODY, misfit_of
from api.errors import Refusal
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.wire import UNDECODABLE

T = TypeVar("T")


class BodyReader(Generic[T]):
    """Reads bodies of one type; JSON that does not match the type is refused with `misfit`."""

    def __init__(self, body_type: type[T], misfit: ErrorCode = ErrorCode.INVALID_REQUEST) -> None:
        self._type = body_type
        self._decoder = msgspec.json.Decoder(body_type)
        self._misfit = misfit
        self._names = [f'"{name}"'.encode() for name in _names_in(body_type)]

    async def read(self, request: web.Request) -> T:
        """The request's body, decoded; raises Refusal with 400, 413 or 415."""
        return self.decode(await read_body(request))

    async def read_if_any(self, request: web.Request) -> T | None:
        """As `read`; None for a request without a body."""
        if not request.body_exists or request.content_length == 0:
            return None
        body = await read_body(request)
        return self.decode(body) if body else None

    def decode(self, body: bytes) -> T:
        """Decode a body; anything but JSON in UTF-8 is INVALID_REQUEST, JSON that does not match the type is `misfit`."""
        try:
            value = self._decoder.decode(body)
        except UNDECODABLE as error:
            if _is_json(body):
                field, message = misfit_of(self._type, error)
                raise Refusal(self._misfit, message, {"field": field}) from error
            raise Refusal(ErrorCode.INVALID_REQUEST, "the body is not JSON in UTF-8", {"field": BODY}) from error
        if self._may_repeat_a_name(body) and _repeats_a_name(body):
            raise Refusal(self._misfit, "the body names a field twice", {"field": BODY})
        return value

    def _may_repeat_a_name(self, body: bytes) -> bool:
        if b"\\" in body:
            return True
        for name in self._names:  # noqa: SIM110 - runs for every order, and any() takes twice as long
            if body.count(name) > 1:
                return True
        return False


async def read_body(request: web.Request) -> bytes:
    """The bytes of a JSON body; refuses other media types, and encoded, oversized or slow bodies."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Refusal(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json, not encoded")
    settings = services_of(request).settings
    if (request.content_length or 0) > settings.body_bytes_max:
        raise Refusal(ErrorCode.PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB")
    if request.content.is_eof():
        return await request.read()
    return await _in_time(request, request.read())


async def has_body(request: web.Request) -> bool:
    """Whether the request has a body of at least one byte; where its length is not declared, what arrives first is read."""
    if not request.body_exists:
        return False
    if request.content_length is not None:
        return request.content_length > 0
    if request.content.at_eof():
        return bool(await request.read())  # what the check of a signature has read
    return bool(await _in_time(request, request.content.readany()))


async def _in_time(request: web.Request, reading: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(services_of(request).settings.body_timeout_s):
            return await reading
    except TimeoutError as error:
        raise Refusal(ErrorCode.INVALID_REQUEST, "the body did not arrive in time") from error


def _names_in(struct: Any) -> set[str]:
    """The names of a struct's fields and of those of the structs in it."""
    names: set[str] = set()
    for field in msgspec.structs.fields(struct):
        names.add(field.encode_name)
        for inner in _structs_in(field.type):
            names |= _names_in(inner)
    return names


def _structs_in(kind: Any) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in get_args(kind):
        yield from _structs_in(part)


def _is_json(body: bytes) -> bool:
    """Whether the whole body is JSON in UTF-8; numbers in it are not converted."""
    try:
        json.loads(body.decode(), parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError too
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _repeats_a_name(body: bytes) -> bool:
    """Whether any object of the body does, at any depth."""
    is_repeated = False

    def count(pairs: list[tuple[str, Any]]) -> None:
        nonlocal is_repeated
        is_repeated |= len({name for name, _ in pairs}) < len(pairs)

    json.loads(body, object_pairs_hook=count)
    return is_repeated
