"""What a market's status permits, for the engine and for risk (docs/semantics.md, "Market states")."""

from schemas.market import MarketStatus

MATCHING = frozenset({MarketStatus.ACTIVE, MarketStatus.CANCEL_ONLY, MarketStatus.SETTLEMENT_ONLY})
"""The operator's states in which positions can be closed by force; CANCEL_ONLY stops only users (docs/adr/0006)."""


def accepts_order(status: MarketStatus, *, post_only: bool, reduce_only: bool) -> bool:
    """Whether a market in this status accepts an order of this kind."""
    match status:
        case MarketStatus.ACTIVE:
            return True
        case MarketStatus.INITIALIZING:
            return post_only
        case MarketStatus.SETTLEMENT_ONLY:
            return reduce_only
        case _:
            return False
