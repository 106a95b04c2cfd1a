"""Why a check on positions a few milliseconds old is safe: no fill and no cancel lowers equity - requirement."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange import admission
from exchange.admission import Account, Admitted
from exchange.fees import fee_of_fill
from exchange.margin import Exposure, Holding, equity, requirement
from exchange.order_filters import SizedOrder
from exchange.position import Position, fill
from schemas.commands import OrderCreated
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.units import Ppm, Ticks, format_e18
from tests.exchange.margin_builders import BTC, USDC, account, decide, request, terms

MARK = 600_000
with_order = admission._with_order


@dataclass
class LiveOrder:
    """An accepted order and what has become of it."""

    command: OrderCreated
    remaining: int
    notional: int = 0


class Book:
    """An account whose admitted orders are filled and cancelled as hypothesis likes."""

    def __init__(self, spec: MarketSpec, owner: Account) -> None:
        self.spec, self.owner, self.live = spec, owner, list[LiveOrder]()

    @property
    def exposure(self) -> Exposure:
        """The account's position and sums."""
        return self.owner.exposure_in(self.spec)

    @property
    def margin(self) -> int:
        """Equity less requirement, at the mark of acceptance."""
        holding = Holding(self.spec, Ticks(MARK), self.exposure)
        return equity(self.owner.wallet, [holding]) - requirement(self.spec, self.exposure, MARK)

    def release(self, order: LiveOrder, lots: int, *, ends: bool) -> None:
        """Take away exactly what the order recorded for these lots, as the projection does."""
        command, held, is_buy = order.command, self.exposure, order.command.side is Side.BUY
        notional = self.spec.notional(command.margin_price, lots)
        order.remaining -= lots
        self.owner.exposures[self.spec.market] = replace(
            held,
            buy_notional=held.buy_notional - notional * is_buy,
            sell_notional=held.sell_notional - notional * (not is_buy),
            buy_lots=held.buy_lots - lots * is_buy,
            sell_lots=held.sell_lots - lots * (not is_buy),
            open_loss=held.open_loss - lots * command.loss_per_lot,
            open_fees=held.open_fees - lots * command.fee_per_lot,
            live_orders=held.live_orders - ends,
        )

    def trade(self, order: LiveOrder, lots: int, price: int, rate: int) -> None:
        """Fill an order at a price it allows, charging the cumulative fee."""
        notional, sign = self.spec.notional(price, lots), order.command.side.sign
        fee = fee_of_fill(order.notional, notional, rate)
        order.notional += notional
        self.release(order, lots, ends=lots == order.remaining)
        held = self.exposure
        position = Position(held.lots, held.cost)
        realized = fill(position, sign * lots, sign * notional)
        self.owner.wallet += realized - fee
        self.owner.exposures[self.spec.market] = replace(held, lots=position.lots, cost=position.cost)


def a_market() -> st.SearchStrategy[MarketSpec]:
    """Rates as a market may have them, rebates included."""
    rates = st.sampled_from([(200, 500), (-100, 500), (0, 0), (3_333, 7_777)])
    return rates.map(lambda pair: replace(BTC, maker_fee_rate=Ppm(pair[0]), taker_fee_rate=Ppm(pair[1])))


@settings(max_examples=150, deadline=None)
@given(spec=a_market(), story=st.data())
def test_no_fill_and_no_cancel_lowers_equity_less_requirement(spec: MarketSpec, story: st.DataObject) -> None:
    """At the mark at which the live orders were accepted, in any order of fills and cancels, at any allowed price."""
    lots = story.draw(st.integers(-2_000, 2_000), "position")
    entry = story.draw(st.integers(500_000, 700_000), "entry")
    leverage = story.draw(st.sampled_from([1, 3, 7, 20]), "leverage")
    held = Exposure(leverage=leverage, lots=lots, cost=spec.notional(entry, lots))
    book = Book(spec, account(10_000_000 * USDC, BTC=held))
    for _ in range(story.draw(st.integers(1, 6), "orders")):
        _enter(book, story)
    while book.live:
        before = book.margin
        _fill_or_cancel(book, story)
        assert book.margin >= before
    assert book.exposure == Exposure(leverage=book.exposure.leverage, lots=book.exposure.lots, cost=book.exposure.cost)


def _enter(book: Book, story: st.DataObject) -> None:
    side = story.draw(st.sampled_from(list(Side)), "side")
    price = story.draw(st.one_of(st.none(), st.integers(540_000, 660_000)), "price")
    is_post_only = price is not None and story.draw(st.booleans(), "post only")
    quantity = format_e18(story.draw(st.integers(1, 999), "lots") * book.spec.lot_size_e18)
    shown = None if price is None else format_e18(price * book.spec.tick_size_e18)
    answer = decide(request(quantity, shown, side, post_only=is_post_only), book.owner, terms(book.spec))
    assert isinstance(answer, Admitted), answer
    book.live.append(LiveOrder(answer.command, answer.command.quantity))


def _fill_or_cancel(book: Book, story: st.DataObject) -> None:
    order = story.draw(st.sampled_from(book.live), "which")
    if story.draw(st.booleans(), "cancelled"):
        book.release(order, order.remaining, ends=True)
    else:
        lots = story.draw(st.integers(1, order.remaining), "filled")
        bound = order.command.price
        worst_to_best = (1, bound) if order.command.side is Side.BUY else (bound, 1_000_000)
        price = story.draw(st.integers(*worst_to_best), "at")
        rates = (
            [book.spec.maker_fee_rate]
            if order.command.post_only
            else [
                book.spec.maker_fee_rate,
                book.spec.taker_fee_rate,
            ]
        )
        book.trade(order, lots, price, story.draw(st.sampled_from(rates), "rate"))
    if not order.remaining:
        book.live.remove(order)


def hold_what_it_adds(spec: MarketSpec, exposure: Exposure, order: SizedOrder, leverage: int | None) -> Exposure:
    """A marginal hold: an order that does not make the worse side worse is held nothing for."""
    after = with_order(spec, exposure, order, leverage)
    adds_nothing = requirement(spec, after, MARK) <= requirement(spec, exposure, MARK) + order.fee_per_lot * order.lots
    return exposure if adds_nothing else after


def buy_and_sell_then_cancel_the_buy() -> int:
    """BUY 10, SELL 10, the BUY is cancelled, the SELL fills: by how much that fill lowers equity - requirement."""
    book = Book(BTC, account(10_000_000 * USDC))
    for side in Side:
        answer = decide(request("0.01", "60000", side), book.owner, terms(BTC))
        assert isinstance(answer, Admitted), answer
        book.live.append(LiveOrder(answer.command, answer.command.quantity))
    bid, ask = book.live
    book.release(bid, bid.remaining, ends=True)
    before = book.margin
    book.trade(ask, ask.remaining, MARK, BTC.maker_fee_rate)
    return max(0, before - book.margin)


def test_a_marginal_hold_is_seen_to_leave_an_order_naked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds are not additive (semantics.md section 4): sums over the live orders cost nothing here, holds do."""
    assert buy_and_sell_then_cancel_the_buy() == 0
    monkeypatch.setattr(admission, "_with_order", hold_what_it_adds)
    assert buy_and_sell_then_cancel_the_buy() > 29 * USDC  # the margin of 600, less what the fee was held higher
