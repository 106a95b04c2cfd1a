"""P12: the engine on the stream of P4, with 10,000 untriggered stops of the same users, compared with the same market without them."""

import time

from bench.load.flow import BEGAN_AT, MID, USERS, Flow, commands
from bench.quiet_collector import quiet_collector
from bench.result import Bar, Outcome, compared
from bench.sizes import Size
from exchange.engine.engine import apply
from exchange.engine.market import Market, empty_market
from schemas.commands import Command, ListMarket, PlaceConditional
from schemas.market import RULES_FOURTH, SEED_MARKETS, MarketStatus
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.units import Lots, Ticks

STOPS = 10_000
SMALL_BOOK = 2_000
FARTHEST = MID // 10
AGAINST_NONE = Bar(0.95)


def measure(size: Size) -> Outcome:
    """Rounds with and without the stops in turn."""
    flow = Flow(12)
    stream = [*flow.resting(SMALL_BOOK), *flow.mixed(size.book_operations)]
    rates: dict[int, list[float]] = {0: [], STOPS: []}
    for _ in range(size.book_rounds):
        for stops, measured in rates.items():
            measured.append(_rate(stops, list(commands(stream, stops + 2))))
    what = f"engine, {STOPS:,} stops waiting"
    return Outcome([compared("P12", what, "commands/s", rates[STOPS], ("without them", rates[0]), AGAINST_NONE)])


def _rate(stops: int, stream: list[Command]) -> float:
    market = _market_with(stops)
    for command in stream[:SMALL_BOOK]:
        apply(market, market.command_seq + 1, command)
    with quiet_collector():
        began = time.process_time()
        for seq, command in enumerate(stream[SMALL_BOOK:], market.command_seq + 1):
            apply(market, seq, command)
        rate = (len(stream) - SMALL_BOOK) / (time.process_time() - began)
    if len(market.waiting.orders) != stops:
        raise RuntimeError(f"{stops - len(market.waiting.orders)} of {stops} stops have fired or ended")
    return rate


def _market_with(stops: int) -> Market:
    market = empty_market(SEED_MARKETS[0].market)
    apply(market, 1, ListMarket(BEGAN_AT, SEED_MARKETS[0], MarketStatus.ACTIVE, RULES_FOURTH))
    for number in range(stops):
        apply(market, number + 2, _stop(number))
    return market


def _stop(number: int) -> PlaceConditional:
    """A stop that may open a position, so that none ends with one; on both sides, by mark and by last price."""
    side = (Side.BUY, Side.SELL)[number % 2]
    return PlaceConditional(
        at=BEGAN_AT,
        user=number % USERS + 1,
        side=side,
        order_type=OrderType.STOP_MARKET,
        working_type=(WorkingType.MARK, WorkingType.LAST)[number // 2 % 2],
        trigger=Ticks(MID + side.sign * (FARTHEST // 2 + number % (FARTHEST // 2))),
        quantity=Lots(1),
        price=Ticks(0),
        time_in_force=TimeInForce.GTC,
        post_only=False,
        reduce_only=False,
        closes_position=False,
        self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER,
        leverage=20,
    )
