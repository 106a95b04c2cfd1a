"""An account in one market whose admitted orders are filled and cancelled as a test likes, at a constant mark."""

from dataclasses import dataclass

from msgspec.structs import replace

from exchange.fees import fee_of_fill
from exchange.position import Position, fill
from exchange.risk.account import NO_REDUCE_ONLY, Exposure, MarginAccount, PositionRisk, ReduceOnlySums
from exchange.risk.admission import Admitted
from exchange.risk.margin import equity, initial_margin, requirement_and_equity
from exchange.risk.order_filters import reduce_only_excess
from schemas.commands import PlaceOrder
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Micros, Ticks
from tests.exchange.margin_builders import decide, terms


@dataclass
class LiveOrder:
    """An accepted order and what has become of it."""

    command: PlaceOrder
    remaining: int
    notional: int = 0


class OneMarket:
    """The account, its live orders, and what they leave of its margin at `mark` (ticks)."""

    def __init__(self, spec: MarketSpec, owner: MarginAccount, mark: int = 600_000) -> None:
        self.spec, self.owner, self.live = spec, owner, list[LiveOrder]()
        self.market = terms(spec, mark=Ticks(mark))

    @property
    def exposure(self) -> Exposure:
        """The account's position and sums."""
        return self.owner.risk_in(self.market).exposure

    @property
    def margin(self) -> int:
        """Equity less requirement, at the mark."""
        required, owned = requirement_and_equity(self.owner.having(PositionRisk(self.market, self.exposure)))
        return owned - required

    @property
    def position_margin(self) -> int:
        """Equity less the initial margin of the position alone, as if all live orders were cancelled."""
        held = self.exposure
        return equity(self.owner) - initial_margin(
            self.spec, held.leverage, abs(self.spec.notional(self.market.mark, held.lots))
        )

    def place(self, asked: OrderRequest) -> LiveOrder | Refused:
        """Admit an order; it is live then."""
        answer = decide(asked, self.owner, self.market)
        if isinstance(answer, Admitted):
            self.live.append(LiveOrder(answer.command, answer.command.quantity))
            return self.live[-1]
        return answer

    def take_on(self, asked: OrderRequest) -> LiveOrder:
        """Admit an order that must be admitted."""
        order = self.place(asked)
        assert isinstance(order, LiveOrder), order
        return order

    def cancel(self, order: LiveOrder) -> None:
        """The order ends unfilled, or with what it has filled."""
        self._release(order, order.remaining, ends=True)

    def fillable(self, order: LiveOrder) -> int:
        """The lots that may fill now: reduce-only ones at most the position, as the engine holds it."""
        if not order.command.reduce_only:
            return order.remaining
        return min(order.remaining, max(0, self.exposure.closable_by(order.command.side)))

    def trade(self, order: LiveOrder, lots: int, price: int, rate: int) -> None:
        """Fill an order at a price (ticks) it allows, charging the cumulative fee."""
        notional, sign = self.spec.notional(price, lots), order.command.side.sign
        fee = fee_of_fill(order.notional, notional, rate)
        order.notional += notional
        self._release(order, lots, ends=lots == order.remaining)
        held = self.exposure
        position = Position(held.lots, held.cost)
        realized = fill(position, sign * lots, sign * notional, 1)
        self.owner.wallet = Micros(self.owner.wallet + realized - fee)
        self._hold(replace(held, lots=position.lots, cost=position.cost))

    def _release(self, order: LiveOrder, lots: int, *, ends: bool) -> None:
        """Subtract exactly what the order recorded for these lots, as the projection does."""
        command, held, is_buy = order.command, self.exposure, order.command.side is Side.BUY
        notional = self.spec.notional(command.margin_price, lots)
        reduced = lots * command.reduce_only
        cost = reduced * (command.loss_per_lot + command.fee_per_lot)
        value = self.spec.notional(command.margin_price, 1)
        excess = reduce_only_excess(self.spec, command.side, value, command.loss_per_lot, command.fee_per_lot)
        side = "buy" if is_buy else "sell"
        reductions = {f"{side}_lots": reduced, f"{side}_notional": notional * command.reduce_only, f"{side}_cost": cost}
        reductions["excess"] = reduced * excess
        order.remaining -= lots
        if not order.remaining:
            self.live.remove(order)
        self._hold(
            replace(
                held,
                buy_notional=held.buy_notional - notional * is_buy,
                sell_notional=held.sell_notional - notional * (not is_buy),
                buy_lots=held.buy_lots - lots * is_buy,
                sell_lots=held.sell_lots - lots * (not is_buy),
                open_loss=held.open_loss - lots * command.loss_per_lot,
                open_fees=held.open_fees - lots * command.fee_per_lot,
                live_orders=held.live_orders - ends,
                reduce_only=_without(held.reduce_only, reductions),
            )
        )

    def _hold(self, exposure: Exposure) -> None:
        self.owner.exposures[self.spec.market] = PositionRisk(self.market, exposure)


def _without(sums: ReduceOnlySums, reductions: dict[str, int]) -> ReduceOnlySums:
    """The sums that remain; none at all without lots, as the database reads them."""
    rest = replace(sums, **{name: getattr(sums, name) - amount for name, amount in reductions.items()})
    return rest if rest.buy_lots or rest.sell_lots else NO_REDUCE_ONLY
