"""The waiting orders of a market, and what is looked up about them: by account, by trigger, by parent."""

from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.conditional.triggers import Triggers
from schemas.orders import WorkingType
from schemas.units import Lots, Ticks


class WaitingOrders:
    """All waiting orders, in the order in which they arrived; empty in most markets, which then pay for nothing.

    `on_mark`, `on_last` and `on_index` are the triggers by working price. `legs` are the attached orders that sleep, by parent.
    `protecting` are the triggered reduce-only market orders that have lots left: each tick tries them again. `needs_a_look`: a
    condition may hold, or there are legs or protecting orders, so that the command at hand may lead to something here.
    """

    __slots__ = (
        "_closing",
        "_of_users",
        "legs",
        "needs_a_look",
        "on_index",
        "on_last",
        "on_mark",
        "orders",
        "protecting",
    )

    def __init__(self) -> None:
        self.orders: dict[int, ConditionalOrder] = {}
        self._of_users: dict[int, dict[int, ConditionalOrder]] = {}
        self._closing: dict[int, int] = {}
        """How many of them only reduce, by account."""
        self.legs: dict[int, list[int]] = {}
        self.protecting: dict[int, ConditionalOrder] = {}
        self.needs_a_look = False
        self.on_mark, self.on_last, self.on_index = Triggers(), Triggers(), Triggers()

    def add(self, order: ConditionalOrder) -> None:
        """Let an order wait, at the stage that it has."""
        self.orders[order.order_seq] = order
        self._of_users.setdefault(order.user, {})[order.order_seq] = order
        if order.reduce_only:
            self._closing[order.user] = self._closing.get(order.user, 0) + 1
        if order.stage is Stage.ASLEEP:
            self.legs.setdefault(order.parent, []).append(order.order_seq)
        else:
            self._watch(order)
        self.needs_a_look = True

    def remove(self, order: ConditionalOrder) -> None:
        """Take an order out: it has ended, or it enters the book."""
        del self.orders[order.order_seq]
        of_user = self._of_users[order.user]
        del of_user[order.order_seq]
        if not of_user:
            del self._of_users[order.user]
        if order.reduce_only:
            self._closing[order.user] -= 1
            if not self._closing[order.user]:
                del self._closing[order.user]
        if order.stage is Stage.ASLEEP:
            self.legs[order.parent].remove(order.order_seq)
            if not self.legs[order.parent]:
                del self.legs[order.parent]
        elif order.stage is Stage.AWAKE:
            self._triggers(order).remove(order)
        elif order.reduce_only:
            del self.protecting[order.order_seq]

    def wake(self, order: ConditionalOrder) -> None:
        """The parent has filled: the order's condition counts from now on."""
        self.remove(order)
        order.stage = Stage.AWAKE
        self.add(order)

    def amend(self, order: ConditionalOrder, trigger: Ticks, price: Ticks, remaining: Lots) -> None:
        """Give an order that has not fired other terms. It keeps its place among the legs of its parent."""
        if order.stage is Stage.AWAKE:
            self._triggers(order).remove(order)
        order.trigger, order.price, order.remaining = trigger, price, remaining
        if order.stage is Stage.AWAKE:
            self._triggers(order).add(order)
        self.needs_a_look = True

    def note_triggered(self, order: ConditionalOrder) -> None:
        """The order's condition holds: it fires once."""
        self._triggers(order).remove(order)
        order.stage = Stage.TRIGGERED
        self._watch(order)

    def of_user(self, user: int) -> list[ConditionalOrder]:
        """The waiting orders of an account, oldest first."""
        of_user = self._of_users.get(user)
        return sorted(of_user.values(), key=lambda order: order.order_seq) if of_user else []

    def may_close(self, user: int) -> bool:
        """Whether a waiting order of the account only reduces."""
        return user in self._closing

    def _triggers(self, order: ConditionalOrder) -> Triggers:
        match order.working_type:
            case WorkingType.MARK:
                return self.on_mark
            case WorkingType.LAST:
                return self.on_last
            case WorkingType.INDEX:
                return self.on_index

    def _watch(self, order: ConditionalOrder) -> None:
        if order.stage is Stage.AWAKE:
            self._triggers(order).add(order)
        elif order.reduce_only:
            self.protecting[order.order_seq] = order
