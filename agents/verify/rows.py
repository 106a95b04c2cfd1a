"""The rows of a market in PostgreSQL, compared with the result of the replay."""

import msgspec

from agents.verify.report import Report
from exchange.engine.log.replay import HoldingLeft, OrderLeft, Replay
from exchange.engine.market import Market
from store.audit.verification import (
    OrderStored,
    Persisted,
    read_fills_of_trades,
    read_order_numbers,
    read_orders_by_number,
)
from store.session.connect import Connection

BEYOND_ANY_TRADE = 2**62
_UNKNOWN_AFTER_A_SNAPSHOT = frozenset({"filled_lots", "trigger"})
_FILL_COLUMNS = (
    *("trade", "role", "event", "order", "user", "side", "price", "quantity"),
    *("notional", "fee", "realized", "cause", "at"),
)


class RowComparison:
    """Compares finished orders and trades block by block, and at the end the rows that still change, against `persisted`."""

    def __init__(self, session: Connection, persisted: Persisted, report: Report) -> None:
        self._session = session
        self._persisted = persisted
        self._market_id = persisted.progress.market_id
        self._event_max = persisted.progress.event_seq
        self.report = report

    async def compare_block(self, replay: Replay, first: int, last: int, trades_before: int) -> None:
        """Orders that commands `first` to `last` created or ended, and the trades after `trades_before`."""
        await self._compare_numbers(replay, first, last)
        await self._compare_ended(replay)
        await self._compare_fills(replay, trades_before + 1, max((fill.trade for fill in replay.fills), default=0))

    async def compare_rest(self, replay: Replay, trades: int) -> None:
        """Compare the rest at the end: live and waiting orders, fills without a trade in the log, positions, and the market's own row."""
        for number in sorted(replay.live):
            self._compare_order(replay.live[number], self._persisted.live.get(number))
        await self._compare_fills(replay, trades + 1, BEYOND_ANY_TRADE)
        self._compare_positions(replay.holdings)
        self._compare_countdowns(replay)
        self._compare_market(replay.market)

    async def _compare_numbers(self, replay: Replay, first: int, last: int) -> None:
        stored = await read_order_numbers(self._session, self._market_id, first, last)
        for number in sorted(stored - replay.created):
            self.report.differs(self._order(number), "no such order in the log", "a row")
        replay.created.clear()

    async def _compare_ended(self, replay: Replay) -> None:
        numbers = [order.number for order in replay.ended]
        stored = await read_orders_by_number(self._session, self._market_id, numbers)
        for order in replay.ended:
            self._compare_order(order, stored.get(order.number))
        replay.ended.clear()

    def _compare_order(self, left: OrderLeft, stored: OrderStored | None) -> None:
        self.report.orders += 1
        if stored is None:
            self.report.differs(self._order(left.number), left.status, "no such row")
            return
        for column, expected in msgspec.structs.asdict(left).items():
            if column not in _UNKNOWN_AFTER_A_SNAPSHOT or expected is not None:
                self.report.compare(f"{self._order(left.number)} {column}", expected, getattr(stored, column))
        # a triggered order is live from its activation on, which the log may not have yet
        self.report.compare(f"{self._order(left.number)} is open", left.status.is_open, stored.is_open)

    async def _compare_fills(self, replay: Replay, first: int, last: int) -> None:
        stored = await read_fills_of_trades(self._session, self._market_id, first, last, self._event_max)
        for fill in replay.fills:
            found = stored.pop((fill.trade, str(fill.role)), None)
            self._compare_fill(tuple(fill), found)
        for trade, role in sorted(stored):
            self.report.differs(f"fill {self.report.market}-{trade} {role}", "no such trade in the log", "a row")
        replay.fills.clear()

    def _compare_fill(self, left: tuple[object, ...], found: tuple[object, ...] | None) -> None:
        self.report.fills += 1
        subject = f"fill {self.report.market}-{left[0]} {left[1]}"
        if found is None:
            self.report.differs(subject, "a row", "missing")
            return
        for column, expected, got in zip(_FILL_COLUMNS, left, found, strict=True):
            self.report.compare(f"{subject} {column}", expected, got)

    def _compare_positions(self, holdings: dict[int, HoldingLeft]) -> None:
        stored = self._persisted.positions
        for user in sorted(holdings.keys() | stored.keys()):
            self.report.positions += 1
            subject = f"position of user {user} in {self.report.market}"
            if user in holdings:
                self.report.compare(subject, tuple(holdings[user]), stored.get(user))
            else:  # flat since before the horizon: the log no longer holds what it realized then
                self.report.compare(subject, (0, 0), stored[user][:2])

    def _compare_countdowns(self, replay: Replay) -> None:
        stored = self._persisted.countdowns
        for user in sorted(replay.countdowns.keys() | stored.keys()):
            subject = f"countdown of user {user} in {self.report.market}"
            self.report.compare(subject, replay.countdowns.get(user), stored.get(user))

    def _compare_market(self, left: Market) -> None:
        """Compare the market's row; its status may differ only for a market that was halted from outside its log."""
        for column, found in msgspec.structs.asdict(self._persisted.market).items():
            if found is not None:
                self.report.compare(f"market {self.report.market} {column}", getattr(left, column), found)

    def _order(self, number: int) -> str:
        return f"order {self.report.market}-{number}"
