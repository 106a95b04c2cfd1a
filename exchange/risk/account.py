"""One account for margin: its wallet, and its exposure in every market with that market's state."""

import msgspec

from schemas.market import MarketSpec, MarketStatus
from schemas.orders import Side
from schemas.units import Micros, Ticks, Timestamp


class MarketState(msgspec.Struct, frozen=True):
    """A market for margin and admission: its parameters, its projected status, mark and rules, and its load.

    `is_stale`: its oldest command, or its mark (`is_mark_old`), is too old to decide on new risk.
    `is_frozen`: too few of its price sources are fresh, so a position there cannot be valued.
    `is_matching`: positions can be closed there by force, because matching and mark are live.
    `open_interest`: the lots of all long positions as projected; read only where the market limits them.
    """

    market_id: int
    spec: MarketSpec
    status: MarketStatus
    mark: Ticks
    rules: int
    is_stale: bool = False
    is_mark_old: bool = False
    is_backlogged: bool = False
    is_frozen: bool = False
    is_matching: bool = True
    open_interest: int = 0


class ReduceOnlySums(msgspec.Struct, frozen=True, gc=False):
    """The sums over the live reduce-only orders of an account in one market.

    Of each side the lots (R), notional, and losses and fees (L); of both the excess of loss and fee over the initial margin
    that a fill frees. Notional, costs and excess are micros.
    """

    buy_lots: int = 0
    sell_lots: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    buy_cost: int = 0
    sell_cost: int = 0
    excess: int = 0

    def lots(self, side: Side) -> int:
        """The lots of a side."""
        return self.buy_lots if side is Side.BUY else self.sell_lots


NO_REDUCE_ONLY = ReduceOnlySums()


class WaitingSums(msgspec.Struct, frozen=True, gc=False):
    """The waiting conditional orders of an account in one market: how many, and what the reduce-only ones may reduce.

    Of each side the lots of those with a quantity, and how many close whatever the position is then.
    """

    buy_lots: int = 0
    sell_lots: int = 0
    closing_buys: int = 0
    closing_sells: int = 0
    orders: int = 0

    def lots(self, side: Side) -> int:
        """The lots of a side, without those that close the position."""
        return self.buy_lots if side is Side.BUY else self.sell_lots

    def closing(self, side: Side) -> int:
        """How many of a side close the position."""
        return self.closing_buys if side is Side.BUY else self.closing_sells

    @property
    def can_reduce(self) -> bool:
        """Whether one of them is reduce-only."""
        return bool(self.buy_lots or self.sell_lots or self.closing_buys or self.closing_sells)


NO_WAITING = WaitingSums()


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """One account in one market: signed position (lots, cost in micros), leverage, and the sums over live orders.

    `buy_notional`, `sell_notional`, `open_loss` and `open_fees` are micros; `buy_lots`, `sell_lots` lots. They are over all
    live orders; `reduce_only` is the part that reduce-only orders have in them. `waiting` orders are in none of these sums.
    """

    leverage: int
    lots: int = 0
    cost: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    open_loss: int = 0
    open_fees: int = 0
    buy_lots: int = 0
    sell_lots: int = 0
    live_orders: int = 0
    reduce_only: ReduceOnlySums = NO_REDUCE_ONLY
    waiting: WaitingSums = NO_WAITING

    def live_lots(self, side: Side) -> int:
        """The lots of all live orders of a side."""
        return self.buy_lots if side is Side.BUY else self.sell_lots

    def naked_lots(self, side: Side) -> int:
        """The lots of live orders of a side that are not reduce-only."""
        return self.live_lots(side) - self.reduce_only.lots(side)

    def closable_by(self, side: Side) -> int:
        """The lots of the position that an order of this side closes; 0 or below when there is none of the other side."""
        return -side.sign * self.lots

    def closable_later(self, side: Side) -> int:
        """The most lots that reduce-only orders of this side can close: the position, with what the other side may add to it.

        Reduce-only orders of the other side add nothing to what this side closes.
        """
        return max(0, self.closable_by(side)) + self.naked_lots(side.opposite)

    def waiting_lots(self, side: Side) -> int:
        """The lots of waiting reduce-only orders of a side; each that closes the position counts all that it may close."""
        return self.waiting.lots(side) + self.waiting.closing(side) * self.closable_later(side)


class PositionRisk(msgspec.Struct, frozen=True):
    """An exposure with the market that values it.

    `opened_seq` is the event that opened the position, `realized` its profit since then (micros); 0 if not read.
    `leverage_set_at`: since when the leverage is in force; None if that is not known.
    """

    market: MarketState
    exposure: Exposure
    opened_seq: int = 0
    realized: int = 0
    leverage_set_at: Timestamp | None = None

    @property
    def lots(self) -> int:
        """Signed lots."""
        return self.exposure.lots


class MarginAccount(msgspec.Struct):
    """A user's wallet (micros) and exposures by market name; the owner of a batch writes each decision back.

    `liquidation_id`: the liquidation of the account, or the one that it is a counterparty of. `is_closing`: its positions
    are being closed without the book, as they were when that was ordered, so it may not place any order. `is_frozen`: by an operator.
    """

    account: int
    wallet: Micros
    exposures: dict[str, PositionRisk]
    liquidation_id: int | None = None
    is_closing: bool = False
    is_frozen: bool = False

    @property
    def positions(self) -> list[PositionRisk]:
        """The open positions, in the order of `exposures`."""
        return [risk for risk in self.exposures.values() if risk.exposure.lots]

    @property
    def frozen_market(self) -> str | None:
        """A market with a position of the account that cannot be valued, because its mark is frozen."""
        for name, risk in self.exposures.items():
            if risk.exposure.lots and risk.market.is_frozen:
                return name
        return None

    @property
    def is_unvalued(self) -> bool:
        """Whether one of its positions cannot be valued."""
        return self.frozen_market is not None

    @property
    def is_bound_by_margin(self) -> bool:
        """Whether it is being liquidated or cannot be valued: it may only reduce, and no other liquidation of it begins."""
        return self.liquidation_id is not None or self.is_unvalued

    @property
    def may_only_reduce(self) -> bool:
        """Whether it may only place reducing orders and may not withdraw (docs/semantics.md, "Margin")."""
        return self.is_frozen or self.is_bound_by_margin

    @property
    def has_live_orders(self) -> bool:
        """Whether an order of the account is live in any market."""
        return any(risk.exposure.live_orders for risk in self.exposures.values())

    def risk_in(self, market: MarketState) -> PositionRisk:
        """The exposure in a market; leverage is the market's highest until the account sets one."""
        return self.exposures.get(market.spec.market) or PositionRisk(
            market, Exposure(market.spec.tiers[0].leverage_max)
        )

    def having(self, risk: PositionRisk) -> "MarginAccount":
        """The same account with another exposure in one market."""
        return self._with(self.exposures | {risk.market.spec.market: risk})

    def without(self, market: str) -> "MarginAccount":
        """The same account without one market."""
        return self._with({name: risk for name, risk in self.exposures.items() if name != market})

    def _with(self, exposures: dict[str, PositionRisk]) -> "MarginAccount":
        return MarginAccount(self.account, self.wallet, exposures, self.liquidation_id, self.is_closing, self.is_frozen)
