"""The rows of a batch, which every fold writes to; with the two kinds that many events change, positions and the ledger."""

from collections.abc import Iterable

from schemas.events import Event
from schemas.market import MarketSpec
from schemas.units import datetime_of
from store.money.ledger import Entry
from store.projection.errors import ProjectionBroken
from store.projection.rows import EntryRow, PositionUpdate, Rows


class BatchRows:
    """The rows of one market while events are folded into them."""

    def __init__(self, market_id: int, spec: MarketSpec, rows: Rows) -> None:
        self.market_id = market_id
        self.spec = spec
        self.rows = rows

    def position(self, user: int) -> PositionUpdate:
        """The account's position row in this market."""
        position = self.rows.positions.get(user)
        if position is None:
            position = self.rows.positions[user] = PositionUpdate(self.market_id, user)
        return position

    def post(
        self, event: Event, entries: Iterable[Entry], *, trade: int | None = None, order: int | None = None
    ) -> None:
        """Write the entries of one transaction and update the wallets. `trade` or `order` (its key) is their reference."""
        at = datetime_of(event.at)  # once for all entries: a batch has thousands
        for entry in entries:
            after = None
            if entry.account > 0:
                after = self._wallet(event, entry.account) + entry.amount
                self.rows.wallets[entry.account] = after
                self.rows.touched_wallets.add(entry.account)
            row = EntryRow(
                market_id=self.market_id,
                account=entry.account,
                type=entry.type,
                cause=entry.cause,
                amount=entry.amount,
                balance_after=after,
                event_seq=event.seq,
                trade_id=trade,
                order_id=order,
                at=at,
            )
            self.rows.entries.append(row)

    def _wallet(self, event: Event, user: int) -> int:
        wallet = self.rows.wallets.get(user)
        if wallet is None:
            raise ProjectionBroken(self.spec.market, event=event.seq, reason="no such account", user=user)
        return wallet
