"""Who takes a bankrupt position: the insurance fund, or those of the other side (docs/semantics.md, "Liquidation").

Pure: the accounts are read under their locks and handed in; what comes back is to be ordered.
"""

from collections.abc import Iterable

import msgspec

from exchange.risk.account import MarginAccount
from exchange.risk.liquidation import Candidate, adl_order, bankrupt_shares, counterparties, is_beyond_fund
from exchange.risk.liquidation_policy import BankruptcyTransfer
from exchange.risk.margin import equity
from schemas.commands import Counterparty


class Deleveraging(msgspec.Struct, frozen=True):
    """Everyone on the other side by rank, and those whose positions close it; none where nobody can carry a part of it.

    Then the fund takes it over all the same and goes below zero.
    """

    ranked: list[Candidate]
    chosen: list[Counterparty]


def needs_deleveraging(fund: MarginAccount, in_flight: int, transfer: BankruptcyTransfer) -> bool:
    """Whether the fund cannot take the position over without going below zero; `in_flight`: E of take-overs under way."""
    return is_beyond_fund(equity(fund) + in_flight, transfer.share.equity)


def deleverage(account: MarginAccount, transfer: BankruptcyTransfer, others: Iterable[MarginAccount]) -> Deleveraging:
    """Against whom of `others` the position is closed."""
    market = next(risk.market for risk in account.positions if risk.market.market_id == transfer.market_id)
    candidates = (candidate_of(other, transfer) for other in others)
    ranked = adl_order(candidate for candidate in candidates if candidate is not None)
    chosen = counterparties(market.spec, market.mark, transfer.lots, transfer.share.amount, ranked)
    return Deleveraging(ranked, chosen)


def candidate_of(account: MarginAccount, transfer: BankruptcyTransfer) -> Candidate | None:
    """The account's opposite position; None where it has none any more, or where nobody can value the account."""
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
