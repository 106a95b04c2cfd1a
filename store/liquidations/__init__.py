"""Liquidations in PostgreSQL: who must be liquidated, one transaction per action, and its receipt."""

from store.liquidations.account_scan import MarginCheck, read_markets_now, scan_accounts
from store.liquidations.cancelling import complete_cancels
from store.liquidations.inventory import sell_inventory
from store.liquidations.margin_calls import call_for_margin, cancel_for_margin, end_calls
from store.liquidations.steps import Ready, StepResult, advance, begin, credit, read_ready

__all__ = [
    "MarginCheck",
    "Ready",
    "StepResult",
    "advance",
    "begin",
    "call_for_margin",
    "cancel_for_margin",
    "complete_cancels",
    "credit",
    "end_calls",
    "read_markets_now",
    "read_ready",
    "scan_accounts",
    "sell_inventory",
]
