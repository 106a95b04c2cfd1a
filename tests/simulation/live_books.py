"""Readers of the event logs that keep the levels of each book, as the live feed does: one that sees every record as it is
written, by owners, zombies and owners after them, and others that begin in the middle, from the rows and the log."""

import random

from api.live.event_cursor import EventCursor
from exchange.market_data.book_levels import BookLevels, LevelsContradicted, RestingOrder
from schemas.ids import seq_of_order_key
from schemas.orders import OrderStatus, Side
from schemas.topics import events_topic
from schemas.wire import EventRecord, decode_event_record
from store.projection.errors import ChainBroken, EventGap
from tests.simulation.system import System
from tests.simulation.tables import MarketRow, Tables
from tests.simulation.world import World

BEGINS_ONE_IN = 20
RESTING = {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}


class LiveBook:
    """The levels of a market as of an event; a record that came before is passed."""

    def __init__(self, row: MarketRow, levels: BookLevels) -> None:
        self.cursor = EventCursor(row.name, row.epoch, row.progress)
        self.levels = levels

    def take(self, record: EventRecord) -> None:
        """Follow the events that are new. Raises EventGap, and AssertionError where the levels cannot be right."""
        self.cursor.epoch = record.epoch  # after a rebuild; a record of an epoch before is an old one
        events = self.cursor.take(record)
        for event in events:
            self.levels.apply(event)
        if events and events[-1].command <= self.cursor.position.command_seq:
            assert not self.levels.is_crossed, f"the book is crossed after event {self.cursor.position.event_seq}"

    def lots(self) -> dict[Side, dict[int, int]]:
        """The lots at each price."""
        return {side: dict(self.levels.sides[side].lots) for side in Side}


class LiveBooks:
    """One reader a market. Its dice are its own: what it does changes no run."""

    def __init__(self, world: World, system: System) -> None:
        self._world = world
        self._system = system
        self._dice = random.Random(world.seed)  # noqa: S311 - a reproducible run is the point
        tables = system.database.tables
        self._books = {market: stored_book(tables, tables.named(market)) for market in system.markets}

    def take(self, market: str, record: EventRecord) -> None:
        """A record is in the log of a market, maybe again; sometimes a reader begins then."""
        try:
            self._books[market].take(record)
            if self._dice.randrange(BEGINS_ONE_IN) == 0:
                self._begin(market, self._books[market])
        except (ChainBroken, LevelsContradicted, AssertionError) as error:
            self._world.violated(f"a reader of {market} stops: {error}")
        except EventGap as error:
            self._world.violated(f"a reader of {market} that sees every record misses one: {error}")

    def levels(self, market: str) -> dict[Side, dict[int, int]]:
        """The lots at each price, as the reader of a market has them."""
        return self._books[market].lots()

    def _begin(self, market: str, other: LiveBook) -> None:
        """From the rows, then from the log; it takes the place of the one that has read all the time, if it got as far."""
        tables, log = self._system.database.tables, self._system.broker.log(events_topic(market))
        book = stored_book(tables, tables.named(market))
        try:
            for _, value in log:
                book.take(decode_event_record(value or b""))
        except EventGap:  # the log has lost what is not persisted: it will be written again
            self._world.counts["books that wait for their log"] += 1
            return
        if book.cursor.position != other.cursor.position:
            return
        self._world.counts["books begun"] += 1
        if book.lots() != other.lots():
            self._world.violated(f"{market}: the levels read from the rows on are {book.lots()}, not {other.lots()}")
        self._books[market] = book


def stored_book(tables: Tables, row: MarketRow) -> LiveBook:
    """The book of a market in the tables."""
    resting = (
        RestingOrder(seq_of_order_key(key), Side(order["side"]), order["price"], order["remaining"])
        for key, order in tables.orders.items()
        if order["market_id"] == row.market_id and order["is_live"] and order["status"] in RESTING
    )
    return LiveBook(row, BookLevels(resting))
