"""Matching: an arriving order against the resting ones, best price and oldest first, at the maker's price."""

from collections.abc import Iterator
from typing import NamedTuple

from exchange.engine.conditional.following import follow_trade
from exchange.engine.conditional.groups import GroupName
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.order import Order
from exchange.engine.reduce_only import enforce, reducible_of
from exchange.fees import fee_of_fill
from schemas.commands import PlaceOrder
from schemas.events import TradeSide
from schemas.orders import EndReason, FillCause, OrderStatus, SelfTradePrevention
from schemas.units import Lots, Micros


class MatchParams(NamedTuple):
    """The parameters of a match: self-trade prevention, the taker's fee rate (ppm), and the cause of the fills."""

    prevention: SelfTradePrevention
    taker_fee_rate: int
    cause: FillCause = FillCause.TRADE


def match(emitter: Emitter, taker: Order, params: MatchParams) -> bool:
    """Trade the taker as far as its price reaches; False when self-trade prevention ended it."""
    book = emitter.market.book
    opposite = taker.side.opposite
    while taker.remaining:
        maker = book.best(opposite)
        if maker is None or not crosses(taker, maker):
            return True
        if maker.user != taker.user:
            _trade(emitter, maker, taker, params)
        elif not _prevent_self_trade(emitter, maker, taker, params.prevention):
            return False
    return True


def crosses(taker: Order | PlaceOrder, maker: Order) -> bool:
    """Whether the maker's price is one the taker accepts."""
    return taker.side.sign * (taker.price - maker.price) >= 0


def can_fill_whole(market: Market, taker: Order, mode: SelfTradePrevention) -> bool:
    """Whether the whole taker would trade at once, as a fill-or-kill order requires.

    The account's own orders are not liquidity: EXPIRE_MAKER skips them, the other modes would end the taker there.
    """
    found = 0
    for maker, lots in _liquidity(market, taker):
        if maker.user != taker.user:
            found += lots
        elif mode is not SelfTradePrevention.EXPIRE_MAKER:
            break
        if found >= taker.remaining:
            return True
    return False


class Offers:
    """What makers offer to one taker, counted in the order in which it reaches them."""

    def __init__(self) -> None:
        self._filled: dict[int, int] = {}

    def next(self, maker: Order, position: int) -> int:
        """Lots that the next maker would still offer; `position` is its account's, in signed lots before the first fill.

        A reduce-only maker offers no more than what its account's earlier fills leave of the position.
        """
        lots: int = maker.remaining
        earlier = self._filled.get(maker.user, 0)
        if maker.reduce_only:
            lots = max(0, min(lots, reducible_of(position, maker.side) - earlier))
        self._filled[maker.user] = earlier + lots
        return lots


def _liquidity(market: Market, taker: Order) -> Iterator[tuple[Order, int]]:
    """The makers that the taker crosses, and the lots each would still offer when the taker reaches it.

    The first fill of an order, the taker too, ends the others of its OCO group: they are not there any more.
    """
    offers, groups = Offers(), market.groups.group_of
    ended: set[GroupName | None] = set()
    for maker in market.book.walk(taker.side.opposite):
        if not crosses(taker, maker):
            return
        group = groups.get(maker.order_seq)
        if group is not None and group in ended:
            continue
        lots = offers.next(maker, market.position_of(maker.user))
        if lots and maker.user != taker.user:
            ended |= {group, groups.get(taker.order_seq)}
        yield maker, lots


def _prevent_self_trade(emitter: Emitter, maker: Order, taker: Order, mode: SelfTradePrevention) -> bool:
    """End the maker, the taker or both, as the mode says; returns whether the taker continues."""
    if mode is not SelfTradePrevention.EXPIRE_TAKER:
        emitter.market.remove(maker)
        emitter.ended(maker, OrderStatus.CANCELLED, EndReason.SELF_TRADE)
    if mode is SelfTradePrevention.EXPIRE_MAKER:
        return True
    emitter.ended(taker, OrderStatus.CANCELLED, EndReason.SELF_TRADE)
    return False


def _trade(emitter: Emitter, maker: Order, taker: Order, params: MatchParams) -> None:
    market = emitter.market
    spec = market.spec
    lots = min(maker.remaining, taker.remaining)
    notional = spec.notional(maker.price, lots)
    market.trade_seq += 1
    market.last_price = maker.price
    market.reduce(maker, lots)
    taker.remaining = Lots(taker.remaining - lots)
    maker_fee = fee_of_fill(maker.maker_notional, notional, spec.maker_fee_rate)
    taker_fee = fee_of_fill(taker.taker_notional, notional, params.taker_fee_rate)
    maker.maker_notional = Micros(maker.maker_notional + notional)
    taker.taker_notional = Micros(taker.taker_notional + notional)
    trade = emitter.traded(
        price=maker.price,
        lots=lots,
        notional=notional,
        taker_side=taker.side,
        maker=_settle(market, maker, lots, notional, maker_fee),
        taker=_settle(market, taker, lots, notional, taker_fee),
        cause=params.cause,
    )
    enforce(emitter, maker.user)
    enforce(emitter, taker.user)
    if market.waiting.orders or market.groups.group_of:
        follow_trade(emitter, trade, maker, taker)


def _settle(market: Market, order: Order, lots: int, notional: int, fee: Micros) -> TradeSide:
    """Book one party's half of a trade."""
    sign = order.side.sign
    position, realized = market.book_fill(order.user, sign * lots, sign * notional)
    return TradeSide(
        order=order.order_seq,
        user=order.user,
        remaining=order.remaining,
        fee=fee,
        realized=realized,
        position=position.lots,
        cost=position.cost,
        position_realized=position.realized,
        position_opened=position.opened_seq,
    )
