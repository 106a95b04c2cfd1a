"""Liquidations in PostgreSQL: who must be liquidated, one transaction for each thing that is done, and its receipt."""

from store.liquidations.account_scan import Verdict, read_marks, survey
from store.liquidations.cancelling import sweep
from store.liquidations.inventory import sell_inventory
from store.liquidations.margin_calls import call_for_margin, cancel_for_margin, end_calls
from store.liquidations.steps import Driven, Ready, advance, begin, credit, read_ready

__all__ = [
    "Driven",
    "Ready",
    "Verdict",
    "advance",
    "begin",
    "call_for_margin",
    "cancel_for_margin",
    "credit",
    "end_calls",
    "read_marks",
    "read_ready",
    "sell_inventory",
    "survey",
    "sweep",
]
