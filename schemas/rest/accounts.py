"""Balances, positions, leverage, the ledger and its monthly statements."""

from typing import Annotated

from msgspec import Meta

from schemas.orders import FillCause
from schemas.rest.bodies import Request, TimeText, View


class LeverageRequest(Request, frozen=True):
    """Sets the caller's leverage in one market."""

    leverage: Annotated[int, Meta(ge=1, le=1_000)]


class BalanceView(View, frozen=True):
    """Money of an account: `total` is the wallet, `available` what can be withdrawn, `locked` the difference."""

    asset: str
    total: str
    locked: str
    available: str
    available_margin: str


class PositionView(View, frozen=True):
    """An open position, valued at mark. `adlRank` is 4 for the fifth of its side's open interest that is deleveraged first, 0 for the last.

    `leverage` is the one in force in the market, `leverageSince` when it was set; null if that was before it was recorded.
    """

    market_id: str
    side: str
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_pnl: str
    realized_pnl: str
    leverage: int
    leverage_since: TimeText | None
    liquidation_price: str | None
    initial_margin: str
    maintenance_margin: str
    adl_rank: int


class LeverageView(View, frozen=True):
    """The account's leverage in a market, the margin that its position and orders there require, and the account's available margin.

    `maxLeverage` is that of the lowest risk tier; in a tier with a lower one, the leverage counts as the tier's.
    """

    market_id: str
    leverage: int
    max_leverage: int
    initial_margin: str
    maintenance_margin: str
    available_margin: str


class LedgerEntryView(View, frozen=True):
    """One line of the ledger. `balanceAfter` is the wallet after this entry; null for house accounts.

    `referenceId` is the trade, order or transfer of the entry, else the event. In the fund's ledger it names no order.
    """

    entry_id: str
    type: str
    cause: FillCause | None
    asset: str
    amount: str
    balance_after: str | None
    reference_id: str
    event_id: str | None
    market_id: str | None
    time: TimeText


class StatementView(View, frozen=True):
    """A month of the wallet, from `from` (inclusive) to `to` (exclusive), UTC: `opening` plus all sums is exactly `closing`.

    Sums are signed as the ledger is: what the account paid is negative. `isFinal`: the month is over; until then `closing` is
    the wallet so far.
    """

    month: str
    from_: TimeText
    to: TimeText
    asset: str
    opening: str
    deposits: str
    withdrawals: str
    realized_pnl: str
    fees: str
    funding: str
    liquidation_fees: str
    insurance: str
    corrections: str
    closing: str
    entries: int
    is_final: bool
