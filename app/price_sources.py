"""Price sources as an operator describes them, on the command line or in a TOML file (docs/prices.md).

Exception
`-- SourceRefused      an invalid description, or one that this mode does not allow
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, assert_never

import msgspec

from agents.prices.http_poll import HttpPoll, is_pointer
from agents.prices.random_walk import RandomWalk
from agents.prices.recorded import Recorded, RecordingRefused, read_recording
from agents.prices.source import Source, parse_price
from api.body_words import misfit_of
from app.settings import Settings

Milliseconds = Annotated[int, msgspec.Meta(ge=50, le=600_000)]
PartsPerMillion = Annotated[int, msgspec.Meta(ge=0, le=500_000)]


class SourceRefused(Exception):
    """An invalid source; `why` is for the operator."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"source {source}: {why}")
        self.source = source
        self.why = why


class _Described(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="kind"):
    market: str
    name: str


class _RandomWalk(_Described, frozen=True, tag="random-walk"):
    start: str
    seed: int = 1
    step_ppm: PartsPerMillion = 100
    drift_max_ppm: PartsPerMillion = 50_000
    noise_ppm: PartsPerMillion = 20
    every_ms: Milliseconds = 1_000


class _Recorded(_Described, frozen=True, tag="recorded"):
    file: str
    speed: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


class _Http(_Described, frozen=True, tag="http"):
    url: str
    pointer: str
    every_ms: Milliseconds = 1_000
    timeout_ms: Milliseconds = 2_000


_KINDS = {"random-walk": _RandomWalk, "recorded": _Recorded, "http": _Http}


def sources_of_options(settings: Settings, market: str, options: Sequence[str]) -> list[Source]:
    """Sources given as `NAME=KIND:key=value,key=value`; raises SourceRefused."""
    return [_source(settings, _split(market, option)) for option in options]


def sources_of_file(settings: Settings, path: Path) -> list[Source]:
    """Sources in a TOML file, one table `[[source]]` each; raises SourceRefused."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceRefused(str(path), str(error)) from error
    tables = document.get("source")
    if document.keys() != {"source"} or not isinstance(tables, list):
        raise SourceRefused(str(path), "a file of sources contains only tables [[source]]")
    return [_source(settings, table) for table in tables]


def _split(market: str, option: str) -> dict[str, str]:
    name, _, described = option.partition("=")
    kind, _, pairs = described.partition(":")
    values = dict(pair.partition("=")[::2] for pair in pairs.split(",") if pair)
    return {"market": market, "name": name, "kind": kind, **values}


def _source(settings: Settings, values: Mapping[str, object]) -> Source:
    shown = str(values.get("name", "?")) if isinstance(values, Mapping) else "?"
    try:
        described = msgspec.convert(values, type=_RandomWalk | _Recorded | _Http, strict=False)
        return _build(settings, described)
    except msgspec.ValidationError as error:
        raise SourceRefused(shown, _why(values, error)) from error
    except (RecordingRefused, OSError) as error:
        raise SourceRefused(shown, str(error)) from error


def _why(values: object, error: msgspec.ValidationError) -> str:
    kind = _KINDS.get(str(values.get("kind"))) if isinstance(values, Mapping) else None
    return f"kind must be one of {', '.join(_KINDS)}" if kind is None else misfit_of(kind, error).message


def _build(settings: Settings, described: _RandomWalk | _Recorded | _Http) -> Source:
    if not settings.is_local and not isinstance(described, _Http):
        raise SourceRefused(described.name, "production allows only sources of kind http")
    match described:
        case _RandomWalk():
            return _random_walk(described)
        case _Recorded():
            recording = read_recording(Path(described.file))
            return Recorded(described.name, described.market, recording, speed=described.speed)
        case _Http():
            return _http(described)
        case _:
            assert_never(described)


def _random_walk(described: _RandomWalk) -> RandomWalk:
    start = parse_price(described.start)
    if start is None:
        raise SourceRefused(
            described.name, "start must be a positive decimal number, at most 10^9, with at most 9 decimals"
        )
    return RandomWalk(
        described.name,
        described.market,
        start,
        described.seed,
        step_ppm=described.step_ppm,
        drift_max_ppm=described.drift_max_ppm,
        noise_ppm=described.noise_ppm,
        every_ms=described.every_ms,
    )


def _http(described: _Http) -> HttpPoll:
    if not described.url.startswith(("http://", "https://")) or not is_pointer(described.pointer):
        raise SourceRefused(
            described.name, "url must start with http:// or https://, pointer must be a JSON pointer: /like/this"
        )
    return HttpPoll(
        described.name,
        described.market,
        described.url,
        described.pointer,
        every_ms=described.every_ms,
        timeout_ms=described.timeout_ms,
    )
