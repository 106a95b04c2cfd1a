"""An account in one market: its open orders, folded from the market's events."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from api.live.accounts.account_events import FillMaker, orders_of
from api.live.accounts.cursor import Place
from api.live.accounts.order_fold import Row, apply, as_submitted, has_ended
from schemas.events import AmendRefused, ConditionalAccepted, Event, OrderAccepted
from schemas.ids import seq_of_order_key
from schemas.orders import AmendRefusal
from schemas.rest.orders import FillView, OrderView
from store.queries.accounts.live_account import AccountInMarket
from store.queries.accounts.orders import order_view


class ChangedOrder(NamedTuple):
    """An order after an event."""

    view: OrderView
    amend_refused: AmendRefusal | None


class AccountMarket:
    """`seen` is the last event of the market whose fills were made, `place` the last one that the orders include."""

    def __init__(self, user: int, market: str, stored: AccountInMarket) -> None:
        self.market, self.market_id = market, stored.market_id
        self.seen = self.place = Place(stored.progress.event_seq, stored.at)
        self._user = user
        self._rows: dict[int, Row] = {seq_of_order_key(row["order_id"]): row for row in stored.open_orders}
        self._client_ids: dict[int, str | None] = {number: row["client_order_id"] for number, row in self._rows.items()}
        self._ended: list[int] = []
        self._fill_maker = FillMaker(user, market, stored.market_id, stored.spec)

    def open_orders(self) -> list[OrderView]:
        """The orders that have not ended."""
        return [order_view(row) for row in self._rows.values() if not has_ended(row)]

    def fills_of(self, event: Event) -> Iterator[FillView]:
        """The fills of the account by an event, which are made before its orders change."""
        if isinstance(event, OrderAccepted | ConditionalAccepted) and event.user == self._user:
            self._client_ids[event.order] = event.client_order_id
        return self._fill_maker.fills(event, self._client_ids)

    def unknown_orders(self, events: Sequence[Event]) -> list[int]:
        """The numbers of orders that begin in these events, whose rows have to be read first.

        The first event about an order is of the command that created it; one that is not known later has ended.
        """
        begun = {number: None for event in events for number in orders_of(event, self._user) if number == event.command}
        return [number for number in begun if number not in self._rows]

    def learn(self, rows: Sequence[Row]) -> None:
        """Rows of orders, as they were before the first event about them."""
        for row in rows:
            number = seq_of_order_key(row["order_id"])
            self._rows[number] = as_submitted(row)

    def changed_by(self, event: Event) -> Iterator[ChangedOrder]:
        """The orders that an event changes, as they are after it."""
        for number in orders_of(event, self._user):
            row = self._rows.get(number)
            if row is not None and apply(row, event, number):
                refused = event.reason if isinstance(event, AmendRefused) else None
                yield ChangedOrder(order_view(row), refused)
                if has_ended(row):
                    self._ended.append(number)

    def forget_ended(self) -> None:
        """Nothing more comes about orders that have ended: the last event about one is of the command that ended it."""
        for number in self._ended:
            self._rows.pop(number, None)
            self._client_ids.pop(number, None)
        self._ended.clear()
