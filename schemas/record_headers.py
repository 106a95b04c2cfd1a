"""The headers of every record of a documented topic: ours, then those of a CloudEvent in Kafka's binary mode."""

from functools import cache
from typing import NamedTuple, Protocol

Headers = list[tuple[str, bytes]]


class TopicRecord(Protocol):
    """A record of a documented topic, whatever it reports."""

    @property
    def market_id(self) -> str:
        """The market, as in the key."""
        ...

    @property
    def sequence(self) -> int:
        """Its place in the topic."""
        ...

    @property
    def event_id(self) -> str:
        """The event that it is made of."""
        ...

    @property
    def time(self) -> str:
        """When that happened."""
        ...

    @property
    def schema_version(self) -> int:
        """The version of its form."""
        ...


def record_headers(kind: str, topic: str, record: TopicRecord) -> Headers:
    """The headers of a record of this kind (`fill`), by which a consumer can filter or route without reading the body.

    `ce_id` names the topic: `ce_source`, the market, is that of all its topics.
    """
    sequence = b"%d" % record.sequence
    version, specversion, ce_type, source, prefix = _common(kind, topic, record.market_id, record.schema_version)
    return [
        ("eventId", record.event_id.encode()),
        ("sequence", sequence),
        version,
        specversion,
        ("ce_id", prefix + sequence),
        ce_type,
        source,
        ("ce_time", record.time.encode()),
    ]


class _Common(NamedTuple):
    """What all records of a topic have in common, and how the id of each begins."""

    version: tuple[str, bytes]
    specversion: tuple[str, bytes]
    ce_type: tuple[str, bytes]
    source: tuple[str, bytes]
    id_prefix: bytes


@cache
def _common(kind: str, topic: str, market: str, version: int) -> _Common:
    return _Common(
        ("schemaVersion", b"%d" % version),
        ("ce_specversion", b"1.0"),
        ("ce_type", f"perpetua.{kind}.v{version}".encode()),
        ("ce_source", f"/markets/{market}".encode()),
        f"{topic}:".encode(),
    )
