"""What the publisher publishes of a market: for each topic the form of its records, and where PostgreSQL keeps them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.executions import (
    Execution,
    decode_execution,
    encode_execution,
    execution_headers,
    sequences_of_trade,
)
from schemas.fills import PublicFill, decode_fill, encode_fill, fill_headers
from schemas.record_headers import Headers, TopicRecord
from schemas.topics import executions_topic, fills_topic
from store.queries.market_data.executions import newest_execution, read_executions
from store.queries.market_data.public_fills import newest_public_fill, read_public_fills
from store.session.connect import Session

R = TypeVar("R", bound=TopicRecord)


@dataclass(frozen=True)
class RecordKind(Generic[R]):
    """A kind of record, numbered from 1 without gaps in a topic of its own.

    `sequences`: those of the records of a trade, by its number, for telling ours in the topic from those of others.
    """

    name: str
    topic: Callable[[str], str]
    encode: Callable[[R], bytes]
    decode: Callable[[bytes], R]
    headers: Callable[[R], Headers]
    sequences: Callable[[int], range]
    newest: Callable[[Session, str], Awaitable[int]]
    read: Callable[[Session, str, int, int], Awaitable[list[R]]]


FILLS = RecordKind[PublicFill](
    name="fill",
    topic=fills_topic,
    encode=encode_fill,
    decode=decode_fill,
    headers=fill_headers,
    sequences=lambda trade: range(trade, trade + 1),
    newest=newest_public_fill,
    read=read_public_fills,
)
EXECUTIONS = RecordKind[Execution](
    name="execution",
    topic=executions_topic,
    encode=encode_execution,
    decode=decode_execution,
    headers=execution_headers,
    sequences=sequences_of_trade,
    newest=newest_execution,
    read=read_executions,
)
ALL_KINDS: tuple[RecordKind[Any], ...] = (FILLS, EXECUTIONS)
