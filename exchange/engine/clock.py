"""Time: the basis each second; at a tick stale feeds, funding and premiums each minute, and the mark that results."""

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.prices.funding import sample_premium, settle_due
from exchange.engine.prices.impact import ImpactPrices, impact_prices
from exchange.engine.prices.index import refresh
from exchange.engine.prices.mark import follow_book, mark_price, move
from exchange.engine.settlement import INDEX_MINUTES
from schemas.commands import AdvanceClock, Command
from schemas.market import RULES_SECOND, RULES_THIRD, MarketStatus
from schemas.units import MINUTE_US, SECOND_US, Timestamp

SET_BACK_US = 10 * SECOND_US
"""More than the times of two commands in turn differ by (docs/adr/0009): a tick that old comes from a clock that was corrected."""


def pass_time(market: Market, command: Command) -> None:
    """Let the market's clock follow its commands. It goes back only by a tick, from rules version 2 on, after it had been wrong.

    From rules version 3 on every second counts, whichever command is the first after it began: so nothing depends on how
    often the clock ticks a market in which only seconds pass.
    """
    if command.at >= market.clock:
        market.clock = command.at
    elif isinstance(command, AdvanceClock) and _is_set_back(market, command.at):
        _set_back(market, command.at)
    if market.rules >= RULES_THIRD and market.clock // SECOND_US > market.second:
        _count_seconds(market)


def tick(emitter: Emitter) -> None:
    """Advance everything that depends on the market's clock. Each second and each minute counts once.

    An interval that ends now is settled at the mark from before this tick, and before the new minute is sampled.
    """
    market = emitter.market
    if market.operator_status is not MarketStatus.SETTLED:
        is_index_moved = refresh(emitter)
        impact = impact_prices(market)
        if market.rules < RULES_THIRD:
            _count_one_second(market, impact)
        settle_due(emitter)
        _each_minute(emitter, impact)
        mark = market.mark if market.is_frozen else mark_price(market, impact)
        if is_index_moved or mark != market.mark:
            move(emitter, mark)
    emitter.clock_advanced()


def _count_seconds(market: Market) -> None:
    """Count the seconds that have begun since the last command, with the index and the book that it left."""
    passed = market.clock // SECOND_US - market.second
    market.second += passed
    if market.is_frozen or market.operator_status is MarketStatus.SETTLED:
        return
    impact = impact_prices(market)
    for _ in range(passed):
        before = market.basis
        follow_book(market, impact)
        if market.basis == before:  # no further step moves it
            return


def _count_one_second(market: Market, impact: ImpactPrices) -> None:
    """Before rules 3: of the seconds that have begun since the last tick one counts, with the index and the book of now."""
    second = market.clock // SECOND_US
    if second > market.second:
        market.second = second
        if not market.is_frozen:
            follow_book(market, impact)


def _each_minute(emitter: Emitter, impact: ImpactPrices) -> None:
    market = emitter.market
    minute = market.clock // MINUTE_US
    if minute <= market.minute:
        return
    market.minute = minute
    if not market.is_frozen and market.operator_status is not MarketStatus.HALTED:
        market.index_minutes = [*market.index_minutes, market.index][-INDEX_MINUTES:]
        sample_premium(emitter, impact)


def _is_set_back(market: Market, at: Timestamp) -> bool:
    return market.rules >= RULES_SECOND and at < market.clock - SET_BACK_US


def _set_back(market: Market, at: Timestamp) -> None:
    """Go on from the corrected time: prices keep their ages, seconds and minutes count again. A settled interval stays settled."""
    for feed in market.feeds:
        if feed.observed_at:
            feed.observed_at = Timestamp(max(1, feed.observed_at - (market.clock - at)))
    market.clock = at
    market.second, market.minute = at // SECOND_US, at // MINUTE_US
