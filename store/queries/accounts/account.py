"""An account as one statement sees it: its wallet, and what it holds in every market at that market's mark."""

from typing import NamedTuple

import asyncpg

from exchange.risk.margin import Exposure, Holding, withdrawable
from schemas.market import MarketSpec
from schemas.units import Micros
from store.queries.formatting import spec_of
from store.session.connect import Session

_READ = """
SELECT a.wallet, a.liquidation_id, m.name, m.spec::text AS spec, m.mark, m.is_frozen, p.*
FROM accounts a LEFT JOIN positions p USING (user_id) LEFT JOIN markets m USING (market_id)
WHERE a.user_id = $1
"""


class MarketHolding(NamedTuple):
    """What an account holds in one market; `realized` is micros since the position last left zero."""

    market: str
    holding: Holding
    realized: int


class AccountState(NamedTuple):
    """A wallet (micros) and the account's markets, in no particular order.

    `is_liquidated`: a liquidation of the account is under way.
    """

    wallet: int
    markets: list[MarketHolding]
    is_liquidated: bool = False

    @property
    def holdings(self) -> list[Holding]:
        """What margin is computed from."""
        return [market.holding for market in self.markets]

    @property
    def available(self) -> Micros:
        """What may leave the account: nothing while it is liquidated (docs/semantics.md, "Margin")."""
        return Micros(0) if self.is_liquidated else withdrawable(self.wallet, self.holdings)


async def read_account(session: Session, user: int) -> AccountState | None:
    """The account of a user; None when there is no such user."""
    rows = await session.fetch(_READ, user)
    if not rows:
        return None
    markets = [
        MarketHolding(row["name"], _holding(spec_of(row["spec"]), row), row["realized"])
        for row in rows
        if row["name"] is not None
    ]
    return AccountState(rows[0]["wallet"], markets, is_liquidated=rows[0]["liquidation_id"] is not None)


def _holding(spec: MarketSpec, row: asyncpg.Record) -> Holding:
    exposure = Exposure(**{field: row[field] for field in Exposure.__struct_fields__})
    return Holding(spec, row["mark"], exposure, row["is_frozen"])
