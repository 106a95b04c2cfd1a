"""Changes of a market's risk tiers and limits: whether they may be made, and how many accounts they would bring below maintenance.

Exception
└── SpecChangeRefused     the market cannot have these tiers and limits, or does not know such a change yet
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from exchange.risk.account import MarginAccount, PositionRisk
from exchange.risk.liquidation import is_liquidatable
from exchange.risk.margin import equity, total_maintenance
from schemas.ids import INSURANCE_FUND
from schemas.market import RULES_FOURTH, MarketSpec, spec_faults
from store.margin_accounts import read_accounts
from store.session.connect import Session

ACCOUNTS_A_PAGE = 1_000
_RULES = "SELECT rules FROM markets WHERE name = $1"
_HOLDERS = """
SELECT p.user_id FROM positions p JOIN markets m USING (market_id)
WHERE m.name = $1 AND p.opened_seq <> 0 AND p.user_id > $2 AND p.user_id <> $4 ORDER BY p.user_id LIMIT $3
"""


class SpecChangeRefused(Exception):
    """The change is refused; `faults` are the reasons, one sentence each."""

    def __init__(self, market: str, faults: list[str]) -> None:
        super().__init__(market, faults)
        self.market = market
        self.faults = faults


class SpecChange(NamedTuple):
    """A market's specification, and the same with other tiers and limits."""

    before: MarketSpec
    after: MarketSpec


async def check_change(session: Session, change: SpecChange) -> None:
    """Raise SpecChangeRefused for tiers and limits that no market can have, and for a market whose rules do not know the command."""
    name, faults = change.before.market, spec_faults(change.after)
    if await session.fetchval(_RULES, name) < RULES_FOURTH:
        faults.append(
            f"{name} does not know changes of its specification yet; move it with `market rules {name} {RULES_FOURTH}`"
        )
    if faults:
        raise SpecChangeRefused(name, faults)


async def count_brought_below(session: Session, change: SpecChange) -> int:
    """How many accounts with a position in the market are above maintenance now, and would not be with the change.

    In the caller's transaction, which must be repeatable: accounts are read page by page.
    """
    count, last = 0, 0
    while users := await _holders(session, change.before.market, last):
        accounts = await read_accounts(session, users)
        count += sum(_is_brought_below(account, change.after) for account in accounts.values())
        last = users[-1]
    return count


async def _holders(session: Session, market: str, last: int) -> Sequence[int]:
    return [row["user_id"] for row in await session.fetch(_HOLDERS, market, last, ACCOUNTS_A_PAGE, INSURANCE_FUND)]


def _is_brought_below(account: MarginAccount, after: MarketSpec) -> bool:
    risk = account.exposures[after.market]
    changed = account.having(PositionRisk(replace(risk.market, spec=after), risk.exposure))
    return not is_liquidatable(equity(account), total_maintenance(account)) and is_liquidatable(
        equity(changed), total_maintenance(changed)
    )
