"""How far a reader has followed the event log of a market: it gets each event once, in order, as the projection does."""

from broker.errors import LogMismatch
from schemas.events import Event
from schemas.wire import EventRecord
from store.projection.chain import Progress, decode_chain, events_after


class OtherEpoch(LogMismatch):
    """The record is of another epoch of the market: the broker was replaced, or the record is not of this exchange."""

    def __init__(self, market: str, expected: int, found: int) -> None:
        super().__init__(f"epoch of an event record of {market}", expected, found)
        self.epoch = found


class EventCursor:
    """The place of a reader. What an owner that was frozen writes again is dropped by its sequence.

    `position` is the last event with its hash, and the last command all of whose events have been read.
    """

    def __init__(self, market: str, epoch: int, position: Progress) -> None:
        self.market = market
        self.epoch = epoch
        self.position = position

    def take(self, record: EventRecord) -> list[Event]:
        """The events of a record that are new; the position moves with them.

        Raises OtherEpoch, EventGap where events are missing before it, ChainBroken for events that do not continue those read,
        UnknownRules for events that only newer code can read. The position stays then.
        """
        if record.epoch != self.epoch:
            raise OtherEpoch(self.market, self.epoch, record.epoch)
        if record.last_event_seq < self.position.event_seq:
            return []
        events, self.position = events_after(self.market, self.position, decode_chain(self.market, [record]))
        return events
