"""Who takes a bankrupt position: the insurance fund, or accounts on the other side (docs/semantics.md, "Liquidation").

Pure: the accounts are arguments, read under their locks; the result is the action to order.
"""

from collections.abc import Iterable

import msgspec

from exchange.risk.account import MarginAccount
from exchange.risk.liquidation import Candidate, adl_order, bankrupt_shares, counterparties, is_beyond_fund
from exchange.risk.liquidation_policy import BankruptcyTransfer
from exchange.risk.margin import equity
from schemas.commands import Counterparty


class Deleveraging(msgspec.Struct, frozen=True):
    """The accounts on the other side by rank, and the counterparties chosen to close the position.

    None are chosen if no account can carry a part of it: then the fund takes it over even though it goes below zero.
    """

    ranked: list[Candidate]
    chosen: list[Counterparty]


def needs_deleveraging(fund: MarginAccount, in_flight: int, transfer: BankruptcyTransfer) -> bool:
    """Whether the fund cannot take the position over without going below zero; `in_flight`: E of take-overs in progress."""
    return is_beyond_fund(equity(fund) + in_flight, transfer.share.equity)


def deleverage(account: MarginAccount, transfer: BankruptcyTransfer, others: Iterable[MarginAccount]) -> Deleveraging:
    """Choose which of `others` the position is closed against."""
    market = next(risk.market for risk in account.positions if risk.market.market_id == transfer.market_id)
    candidates = (candidate_of(other, transfer) for other in others)
    ranked = adl_order(candidate for candidate in candidates if candidate is not None)
    chosen = counterparties(market.spec, market.mark, transfer.lots, transfer.share.amount, ranked)
    return Deleveraging(ranked, chosen)


def candidate_of(account: MarginAccount, transfer: BankruptcyTransfer) -> Candidate | None:
    """The account's opposite position; None if it no longer has one, or if the account cannot be valued."""
    if account.is_unvalued:
        return None
    for risk, share in zip(account.positions, bankrupt_shares(account), strict=True):
        if risk.market.market_id == transfer.market_id and risk.lots * transfer.lots < 0:
            return Candidate(
                user=account.account,
                lots=risk.lots,
                cost=risk.exposure.cost,
                mark_value=risk.market.spec.notional(risk.market.mark, risk.lots),
                bankrupt_amount=share.amount,
                equity=equity(account),
                opened_seq=risk.opened_seq,
            )
    return None
