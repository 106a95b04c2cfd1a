"""What clients call the orders that trade: from the event log where it was just read, else from PostgreSQL."""

from collections.abc import Iterable, Mapping
from functools import partial

from agents.worker.database import ask_database
from agents.worker.settings import StreamSettings
from schemas.wire import NamedOrder
from store.queries.market_data.executions import read_client_ids

KEPT_MAX = 8_192


class ClientOrderIds:
    """The client order ids of a market's newest orders; an order never changes its own."""

    def __init__(self, worker: str, settings: StreamSettings) -> None:
        self._worker = worker
        self._settings = settings
        self._known: dict[int, str | None] = {}

    def note(self, orders: Iterable[NamedOrder]) -> None:
        """Keep what events say of orders that the engine accepts."""
        self._known.update((order.order, order.client_order_id) for order in orders)

    async def of(self, market_id: int, orders: Iterable[int]) -> Mapping[int, str | None]:
        """The client order ids of at least these orders, by number."""
        unknown = {order for order in orders if order not in self._known}
        if unknown:
            question = partial(read_client_ids, market_id=market_id, orders=unknown)
            self._known.update(await ask_database(self._settings.dsn, self._worker, question))
        return self._known

    def forget_old(self) -> None:
        """Keep no more than the newest; those of old orders that still trade are read again."""
        for order in list(self._known)[: max(0, len(self._known) - KEPT_MAX)]:
            del self._known[order]
