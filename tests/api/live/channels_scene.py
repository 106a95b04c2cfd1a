"""The public channels of a market on a real broker, and what their subscribers hold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from api.database import Database
from api.live.channels import LiveChannels
from api.live.feeds.book_view import checksum
from api.live.followers import Followers, Later
from api.live.outgoing import Key
from api.live.subscription import Subscription
from schemas.live.market_messages import BookSnapshot, BookUpdate, MarketMessage, Subscribed, Trade
from schemas.live.subscriptions import MarketChannel, MarketParameters
from schemas.rest.market_data import CandleInterval, OrderBookView
from store.session.connect import connect_reader_pool
from tests.agents.stream import Stream
from tests.api.exchange import now
from tests.eventually import eventually

T = TypeVar("T")
SOCKET = ".s.PGSQL.5432"
_decode = msgspec.json.Decoder(MarketMessage).decode  # type: ignore[arg-type]  # a union of structs
Side = dict[str, str]


@dataclass(eq=False)
class Line:
    """The line of a connection that is read at once: every frame it was given, in order."""

    frames: list[bytes] = field(default_factory=list)
    resumes: dict[Key, Any] = field(default_factory=dict)
    forgotten: list[Key] = field(default_factory=list)
    bytes_waiting: int = 0
    is_closed: bool = False
    resync: Callable[[], bytes] = bytes

    def append(self, frame: bytes, subscription: Key | None = None, resume: Any = None) -> None:
        """Take a frame."""
        self.frames.append(frame)
        if subscription is not None and resume is not None:
            self.resumes[subscription] = resume

    def replace(self, key: Key, frame: bytes) -> None:  # noqa: ARG002 - nothing waits
        """Take a frame."""
        self.frames.append(frame)

    def update_book(self, key: Key, frame: bytes, resync: Callable[[], bytes]) -> None:  # noqa: ARG002 - as above
        """Take a frame, and what would replace it."""
        self.frames.append(frame)
        self.resync = resync

    def resume_at(self, subscription: Key, resume: Any) -> None:
        """Note where a subscription begins."""
        self.resumes[subscription] = resume

    def forget(self, *keys: Key) -> None:
        """Nothing waits."""
        self.forgotten += keys

    @property
    def messages(self) -> list[Any]:
        """The frames, decoded as what they are."""
        return [_decode(frame) for frame in self.frames]

    def of(self, kind: type[T]) -> list[T]:
        """The messages of a kind."""
        return [message for message in self.messages if isinstance(message, kind)]


class HeldBook:
    """What a client makes of the messages of one `book` subscription, by sequence; checks each as it comes."""

    def __init__(self, line: Line) -> None:
        self.bids: Side = {}
        self.asks: Side = {}
        self.at: dict[int, tuple[Side, Side]] = {}
        self.resyncs = 0
        self.checksums = 0
        sequence = 0
        for message in line.messages:
            match message:
                case BookSnapshot():
                    self.bids, self.asks = dict(message.bids), dict(message.asks)
                    self.resyncs += message.resync
                case BookUpdate():
                    assert message.previous == sequence
                    assert message.sequence > sequence
                    _set(self.bids, message.bids)
                    _set(self.asks, message.asks)
                case _:
                    continue
            sequence = message.sequence
            self._check(message.checksum)
            self.at[sequence] = (dict(self.bids), dict(self.asks))

    def _check(self, told: int | None) -> None:
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))
        assert not bids or not asks or float(bids[0][0]) < float(asks[0][0])
        if told is not None:
            self.checksums += 1
            assert told == checksum(bids[:25], asks[:25])

    def as_of(self, sequence: int) -> tuple[Side, Side] | None:
        """The book as of an event; None before the first message."""
        reached = max((seq for seq in self.at if seq <= sequence), default=None)
        return None if reached is None else self.at[reached]

    def equals(self, book: OrderBookView) -> bool:
        """Whether REST shows the same as of its sequence."""
        return self.as_of(book.sequence) == tuple(
            {level.price: level.quantity for level in side} for side in (book.bids, book.asks)
        )


def _set(held: Side, levels: list[tuple[str, str]]) -> None:
    for price, quantity in levels:
        if quantity == "0":
            del held[price]
        else:
            held[price] = quantity


def trade_sequences(line: Line) -> list[int]:
    """The trades in the order in which they came."""
    return [trade.sequence for trade in line.of(Trade)]


@dataclass
class Scene:
    """The channels of a process that follows the market of a stream."""

    channels: LiveChannels
    market: str

    async def subscribe(self, channel: str, line: Line | None = None, **parameters: Any) -> tuple[Line, Subscription]:
        """Subscribe; `subscribed` has come first, and nothing twice."""
        line = line or Line()
        before = len(line.frames)
        named: dict[str, Any] = {"market": self.market, **parameters}
        interval = CandleInterval(named["interval"]) if "interval" in named else None
        asked = MarketParameters(named["market"], named.get("depth"), interval, named.get("from"))
        subscription = await self.channels.subscribe(MarketChannel(channel), asked, line)
        first = line.messages[before]
        assert isinstance(first, Subscribed)
        assert (first.channel, first.market) == (channel, asked.market)
        return line, subscription


@asynccontextmanager
async def channels_of(stream: Stream, dsn: str = "", later: Later | None = None) -> AsyncIterator[Scene]:
    """The channels of a process."""
    database = Database(await connect_reader_pool(dsn or stream.settings.dsn, "api"))
    channels = LiveChannels(database, Followers(database, stream.settings.bootstrap, now, later))
    try:
        yield Scene(channels, stream.market)
    finally:
        await channels.close()
        database.close()
        assert not [
            task for task in asyncio.all_tasks() if task.get_name().startswith(("live", "replay", "begin live"))
        ]


async def quiet(line: Line, last: int, kind: type[Any]) -> None:
    """Wait until the newest message of a kind has this sequence."""
    await eventually(lambda: bool(found := line.of(kind)) and found[-1].sequence >= last)


class Door:
    """A socket of PostgreSQL that can be shut: who is inside is thrown out."""

    def __init__(self, dsn: str, folder: Path) -> None:
        there = parse_qs(urlsplit(dsn).query)["host"][0]
        self.dsn = dsn.replace(there, str(folder))
        self._there, self._here = Path(there) / SOCKET, folder / SOCKET
        self._inside: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Let everybody in."""
        self._server = await asyncio.start_unix_server(self._enter, self._here)

    async def shut(self) -> None:
        """Let nobody in."""
        assert self._server is not None
        self._server.close()
        self._here.unlink(missing_ok=True)
        for writer in list(self._inside):
            writer.transport.abort()

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(self._there)
        self._inside |= {writer, forth}
        try:
            await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))
        finally:
            self._inside -= {writer, forth}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    writer.close()
