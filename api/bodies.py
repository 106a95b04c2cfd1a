"""Request bodies: read within bounded time and size, and decoded into their struct, or refused."""

import asyncio
import json
from typing import Any, Generic, TypeVar

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
        names = [field.encode_name for field in msgspec.structs.fields(body_type)]  # type: ignore[arg-type]  # a Struct
        self._names = [f'"{name}"'.encode() for name in names]

    async def read(self, request: web.Request) -> T:
        """The request's body, decoded; raises Refusal with 400, 413 or 415."""
        return self.decode(await read_body(request))

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
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await request.read()
    except TimeoutError as error:
        raise Refusal(ErrorCode.INVALID_REQUEST, "the body did not arrive in time") from error


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
    def count(pairs: list[tuple[str, Any]]) -> bool:
        return len({name for name, _ in pairs}) < len(pairs)

    return bool(json.loads(body, object_pairs_hook=count))
