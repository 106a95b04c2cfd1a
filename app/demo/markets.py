"""What the demo trades: the seed markets, a third one that pays funding every hour, and the price sources of all."""

from msgspec.structs import replace

from schemas.market import SEED_MARKETS, MarketSpec, PriceSource
from schemas.units import E18, Lots, Nanos

_ETH = SEED_MARKETS[1]
SOL = replace(
    _ETH,
    market="SOL-PERP",
    base_asset="SOL",
    lot_size_e18=E18 // 10,
    funding_interval_hours=1,
    reference_price=Nanos(150 * 10**9),
    quantity_max=Lots(1_000_000),
)
DEMO_MARKETS: tuple[MarketSpec, ...] = (*SEED_MARKETS, SOL)
DEMO_SOURCES = (
    PriceSource("harbour", weight=2, max_age_ms=10_000),
    PriceSource("meridian", weight=1, max_age_ms=10_000),
    PriceSource("summit", weight=1, max_age_ms=10_000),
)
DEMO_QUORUM = 2
