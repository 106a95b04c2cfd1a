"""The index: the weighted median of fresh price sources, or a constant where there are none (docs/semantics.md, "Index, mark, funding")."""

from collections.abc import Sequence
from typing import NamedTuple

from exchange.engine.emitter import Emitter
from exchange.engine.market import Feed, Market
from exchange.engine.prices.mark import follow
from exchange.engine.status import freeze
from schemas.commands import ReportPrice, SetPriceSources, SourcePrice
from schemas.market import INDEX_MAX
from schemas.units import Nanos, Timestamp, divide_half_even


class WeighedPrice(NamedTuple):
    """A price (nanos) and its weight."""

    price: Nanos
    weight: int


def weighted_median(prices: Sequence[WeighedPrice]) -> Nanos:
    """The price at which half of the weight is reached; if exactly at the border of two, their mean, rounded half even."""
    ordered = sorted(prices)
    total, below = sum(each.weight for each in ordered), 0
    for place, each in enumerate(ordered):
        below += each.weight
        if 2 * below == total:
            return Nanos(divide_half_even(each.price + ordered[place + 1].price, 2))
        if 2 * below > total:
            return each.price
    raise ValueError(prices)


def set_index(emitter: Emitter, index: Nanos) -> None:
    """Set the constant index; a market with price sources ignores an index set by an operator."""
    if emitter.market.feeds:
        emitter.price_ignored("")
        return
    emitter.market.index = index
    follow(emitter)


def set_sources(emitter: Emitter, command: SetPriceSources) -> None:
    """Set the sources of the index; an existing source keeps the price it reported."""
    market = emitter.market
    feeds: dict[str, Feed] = {}
    for source in command.sources:
        known = market.feed(source.name) or Feed(source)
        feeds[source.name] = Feed(source, known.price, known.observed_at)
    market.feeds = list(feeds.values())
    market.quorum = command.quorum
    emitter.sources_changed()
    if refresh(emitter):
        follow(emitter)


def report_all(emitter: Emitter, prices: Sequence[SourcePrice]) -> None:
    """Report one price after the other; index and mark follow each. Without any price only the clock has advanced."""
    for seen in prices:
        report(emitter, seen)
    if not prices:
        emitter.clock_advanced()


def report(emitter: Emitter, seen: ReportPrice | SourcePrice) -> None:
    """Accept the price of a source if it is newer than its last one; a time in the future counts as the command's."""
    market = emitter.market
    feed = market.feed(seen.source)
    observed_at = min(seen.observed_at, emitter.at)
    if feed is None or observed_at <= feed.observed_at or not 0 < seen.price <= INDEX_MAX:
        emitter.price_ignored(seen.source)
        return
    feed.price, feed.observed_at = seen.price, Timestamp(observed_at)
    refresh(emitter)
    if market.is_frozen:
        emitter.clock_advanced()
    else:
        follow(emitter)


def refresh(emitter: Emitter) -> bool:
    """Compute the index of the sources that are fresh now; below the quorum, index and mark freeze.

    Returns whether the index has moved: the caller must then emit it with the new mark.
    """
    market = emitter.market
    before = market.index
    fresh = _fresh(market)
    if len(fresh) >= market.quorum and fresh:
        market.index = weighted_median(fresh)
    freeze(emitter, is_frozen=len(fresh) < market.quorum)
    return market.index != before


def _fresh(market: Market) -> list[WeighedPrice]:
    return [
        WeighedPrice(feed.price, feed.source.weight)
        for feed in market.feeds
        if feed.observed_at and market.clock - feed.observed_at <= feed.source.max_age_ms * 1_000
    ]
