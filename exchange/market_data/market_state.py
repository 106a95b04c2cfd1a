"""The status, prices and funding of a market from its events: what `GET /markets/{marketId}` shows."""

from typing import NamedTuple

from exchange.engine.prices.funding import next_interval_end
from schemas.events import Event, FundingSettled, MarketOpened, MarkMoved, PremiumSampled, StatusChanged
from schemas.market import MarketStatus
from schemas.units import Timestamp


class MarketState(NamedTuple):
    """Index in nanos, mark in ticks, rates in 10^-9. The predicted rate is None before the first sample of an interval."""

    status: MarketStatus
    index_price: int
    mark: int
    funding_rate: int
    predicted_funding_rate: int | None
    next_funding_at: Timestamp | None

    def after(self, event: Event, funding_interval_us: int) -> "MarketState":
        """The state after the next event."""
        match event:
            case MarkMoved():
                return self._replace(index_price=event.index, mark=event.mark)
            case StatusChanged():
                return self._replace(status=event.status)
            case PremiumSampled():
                return self._replace(predicted_funding_rate=event.predicted_rate, next_funding_at=event.interval_end)
            case FundingSettled():
                ends_at = next_interval_end(event.at, funding_interval_us)
                return self._replace(funding_rate=event.rate, predicted_funding_rate=None, next_funding_at=ends_at)
            case MarketOpened():
                ends_at = next_interval_end(event.at, funding_interval_us)
                return MarketState(event.status, event.index, event.mark, 0, None, ends_at)
            case _:
                return self
