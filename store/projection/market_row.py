"""The market's own row: its status, its mark and the sources of its index."""

from exchange.engine.prices.funding import next_interval_end
from schemas.events import MarketOpened, MarkMoved, PriceSourcesChanged, RulesChanged, SpecChanged, StatusChanged
from schemas.wire import encode
from store.projection.rows import MarketChange

_OfTheMarket = MarketOpened | MarkMoved | StatusChanged | PriceSourcesChanged | SpecChanged | RulesChanged


def change_market(market: MarketChange, event: _OfTheMarket) -> None:
    """Apply an event to the market's row; the last one of a batch counts."""
    match event:
        case MarketOpened():
            market.status = market.operator_status = str(event.status)
            market.next_funding_at = next_interval_end(event.at, event.spec.funding_interval_us)
            _move_mark(market, event)
        case MarkMoved():
            _move_mark(market, event)
        case StatusChanged():
            market.status = str(event.status)
            market.operator_status = str(event.operator_status or event.status)
            market.is_frozen = event.is_frozen
        case PriceSourcesChanged():
            market.price_sources, market.price_quorum = encode(event.sources).decode(), event.quorum
        case SpecChanged():
            market.spec, market.spec_seq = encode(event.spec).decode(), event.seq
        case RulesChanged():
            market.rules = event.rules


def _move_mark(market: MarketChange, event: MarketOpened | MarkMoved) -> None:
    market.index, market.mark, market.mark_at = event.index, event.mark, event.at
