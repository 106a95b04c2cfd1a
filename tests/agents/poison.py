"""Orders, cancels and amends that break the engine, once it is configured to: the bug that no test knows of yet."""

from exchange.engine import engine
from exchange.engine.market import Market
from schemas.commands import AmendOrder, CancelOrder, Command, PassBarrier, PlaceOrder
from schemas.events import Event

POISON = "poison"


class EngineBroke(Exception):
    """What the broken engine raises."""


def broken_apply(market: Market, seq: int, command: Command) -> list[Event]:
    """The engine, with a bug: it breaks at poison, after it has changed the market."""
    is_cancel_of_poisoned = isinstance(command, CancelOrder | AmendOrder) and _is_bait(market, command.order)
    events = engine.apply(market, seq, command)
    if is_cancel_of_poisoned or is_poison(command):
        raise EngineBroke(seq)
    return events


def is_poison(command: Command) -> bool:
    """Whether a command is poison by its own fields."""
    match command:
        case PlaceOrder():
            return (command.client_order_id or "").startswith(POISON)
        case PassBarrier():
            return command.barrier == POISON
        case _:
            return False


def _is_bait(market: Market, number: int) -> bool:
    """An order of 7 lots cannot be cancelled or amended."""
    order = market.book.find(number)
    return order is not None and order.remaining == 7
