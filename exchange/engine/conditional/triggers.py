"""Which conditions hold at a working price: the triggers of one working type.

They are sorted, so a price that fires none costs two comparisons.
"""

from sortedcontainers import SortedList

from exchange.engine.conditional.order import ConditionalOrder
from schemas.units import Ticks

NEVER = 2**63
"""Above every price."""


class Triggers:
    """The awake orders of one working type. Those that rise fire at or above their trigger, those that fall at or below.

    Between `floor` and `ceiling`, both excluded, no price has to be looked at: no trigger is there, and where orders trail, whose
    triggers follow the price, they have seen it.
    """

    __slots__ = ("_falling", "_rising", "_seen", "_trailing", "ceiling", "floor")

    def __init__(self) -> None:
        self._rising: SortedList[tuple[int, int]] = SortedList()
        self._falling: SortedList[tuple[int, int]] = SortedList()
        self._trailing: dict[int, ConditionalOrder] = {}
        self._seen = 0
        self.floor: int = -1
        self.ceiling: int = NEVER

    @property
    def is_empty(self) -> bool:
        """Whether no order waits for this working price."""
        return not (self._rising or self._falling or self._trailing)

    def add(self, order: ConditionalOrder) -> None:
        """Watch the order's condition."""
        if order.is_trailing:
            self._trailing[order.order_seq] = order
            self._seen = 0  # it has not seen the present price
        else:
            (self._rising if order.fires_rising else self._falling).add((order.trigger, order.order_seq))
        self._set_bounds()

    def remove(self, order: ConditionalOrder) -> None:
        """Watch it no longer."""
        if order.is_trailing:
            del self._trailing[order.order_seq]
        else:
            (self._rising if order.fires_rising else self._falling).remove((order.trigger, order.order_seq))
        self._set_bounds()

    def holding_at(self, price: Ticks) -> list[int]:
        """The numbers of the orders whose condition holds at this working price; trailing orders see it."""
        found = [seq for _, seq in self._rising.irange(maximum=(price, NEVER))]
        found += [seq for _, seq in self._falling.irange(minimum=(price, 0))]
        for seq, order in self._trailing.items():
            order.follow(price)
            if order.holds_at(price):
                found.append(seq)
        self._seen = price
        self._set_bounds()
        return found

    def _set_bounds(self) -> None:
        self.floor = self._falling[-1][0] if self._falling else -1
        self.ceiling = self._rising[0][0] if self._rising else NEVER
        if self._trailing:
            self.floor, self.ceiling = max(self.floor, self._seen - 1), min(self.ceiling, self._seen + 1)
