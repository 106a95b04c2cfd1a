"""Liquidations and the insurance fund."""

from typing import Any, Literal

from schemas.rest.accounts import LedgerEntryView
from schemas.rest.bodies import TimeText, View


class ReceiptView(View, frozen=True):
    """The receipt of one forced action: its inputs, and its outcome once `doneAt` is set.

    `role` is LIQUIDATED on an action on the caller's account, COUNTERPARTY on a deleveraging that closed the caller's position.
    Of other accounts a receipt shows score, rank and the lots taken; of the fund what it can lose (`fund.available`).
    """

    liquidation_id: str
    step: int
    kind: str
    action: str
    role: Literal["LIQUIDATED", "COUNTERPARTY"]
    market_id: str | None
    order_id: str | None
    inputs: dict[str, Any]
    outcome: dict[str, Any] | None
    event_id: str | None
    time: TimeText
    done_at: TimeText | None
    started_at: TimeText
    ended_at: TimeText | None


class InventoryView(View, frozen=True):
    """A position that the insurance fund has taken over, valued at mark."""

    market_id: str
    side: str
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_pnl: str


class InsuranceFundView(View, frozen=True):
    """The insurance fund: its balance, its positions, both together, and a page of its ledger, newest first."""

    asset: str
    wallet: str
    unrealized_pnl: str
    equity: str
    positions: list[InventoryView]
    data: list[LedgerEntryView]
    next_cursor: str | None
