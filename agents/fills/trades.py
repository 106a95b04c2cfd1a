"""What an event record reports for the documented topics."""

from exchange.engine.rules import check_known
from schemas.wire import EventRecord, NamedOrder, Trade, trades_and_orders


def read_trades(record: EventRecord) -> tuple[list[Trade], list[NamedOrder]]:
    """The trades of an event record, and the orders that it accepts; UnknownRules for one that only newer code can read."""
    check_known(record.rules)
    return trades_and_orders(record.events)
