"""Auto-deleveraging: who takes a bankrupt position, the insurance fund or the accounts of the other side (docs/semantics.md, "Liquidation").

Pure: the accounts are arguments, read under their locks; the result is the action to order. Values are micros,
signed like the position; lots are signed.
"""

from bisect import bisect_left
from collections.abc import Iterable
from fractions import Fraction

import msgspec

from exchange.position import settled_part
from exchange.risk.account import MarginAccount
from exchange.risk.liquidation import BankruptShare, bankrupt_shares
from exchange.risk.liquidation_policy import BankruptcyTransfer
from exchange.risk.margin import equity
from schemas.commands import Counterparty
from schemas.market import MarketSpec
from schemas.units import Lots, Micros, divide_up


class Candidate(msgspec.Struct, frozen=True):
    """A position on the opposite side of a bankrupt one, and everything that decides whether it is deleveraged.

    `equity` is of its whole account, `bankrupt_amount` V of this position (see `bankrupt_shares`).
    """

    user: int
    lots: int
    cost: int
    mark_value: int
    bankrupt_amount: int
    equity: int
    opened_seq: int


class Deleveraging(msgspec.Struct, frozen=True):
    """The accounts on the other side by rank, and the counterparties chosen to close the position.

    None are chosen if no account can carry a part of it: then the fund takes it over even though it goes below zero.
    """

    ranked: list[Candidate]
    chosen: list[Counterparty]


def fund_lots(fund: MarginAccount, in_flight: int, transfer: BankruptcyTransfer, value: int) -> int:
    """How many lots of the position the fund can take over without going below zero; `value` is all of it at mark, signed.

    E of a part is its value less its part of V. Taking more lots of a position below bankruptcy only costs more.
    """
    size, owned = abs(transfer.lots), equity(fund) + in_flight

    def is_too_much(lots: int) -> bool:
        taken = taken_share(transfer, value, lots)
        return is_beyond_fund(owned, taken.equity)

    return bisect_left(range(1, size + 1), True, key=is_too_much)


def taken_share(transfer: BankruptcyTransfer, value: int, lots: int) -> BankruptShare:
    """E and V of the first `lots` of the position: V is split by lots, as a deleveraging splits it (`settled_part`)."""
    amount = settled_part(transfer.share.amount, transfer.lots, 0, lots)
    return BankruptShare(Micros(value // abs(transfer.lots) * lots - amount), amount)


def adl_rank(ahead: int, size: int, total: int) -> int:
    """The rank shown on a position: 4 for the first fifth of its side's open interest, 0 for the last (BMX).

    `ahead`: lots that are deleveraged before it, `size`: its own, `total`: those of the side. A position belongs to the fifth
    in which its last lot is; the one at the head of the queue is always 4.
    """
    return 4 if ahead == 0 else 5 - divide_up(5 * (ahead + size), total)


def needs_deleveraging(fund: MarginAccount, in_flight: int, transfer: BankruptcyTransfer) -> bool:
    """Whether the fund cannot take the position over without going below zero; `in_flight`: E of take-overs in progress."""
    return is_beyond_fund(equity(fund) + in_flight, transfer.share.equity)


def choose_counterparties(
    account: MarginAccount, transfer: BankruptcyTransfer, others: Iterable[MarginAccount]
) -> Deleveraging:
    """Rank the accounts of the other side, and choose those against whom the position is closed."""
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


def is_beyond_fund(fund_equity: int, share: int) -> bool:
    """Whether the fund's wallet and unrealized profit would be below zero after taking over a position with this E."""
    return fund_equity + share < 0


def adl_score(mark_value: int, cost: int, bankrupt_amount: int) -> Fraction:
    """How early a position is deleveraged, the highest score first (BMX).

    pnlPct x leverage when in profit, pnlPct / leverage otherwise; pnlPct = (mark value - cost) / |cost|, leverage =
    |mark value| / (mark value - bankrupt value). Exact. An account without equity is not ranked: see `can_carry`.
    """
    profit = Fraction(mark_value - cost, max(1, abs(cost)))
    value, margin = abs(mark_value), max(1, mark_value - bankrupt_amount)
    return profit * (Fraction(value, margin) if profit > 0 else Fraction(margin, value))


def adl_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in the order they are deleveraged: by score, then the longest held position, then the user's number."""
    scored = [(adl_score(each.mark_value, each.cost, each.bankrupt_amount), each) for each in candidates]
    return [each for _, each in sorted(scored, key=lambda pair: (-pair[0], pair[1].opened_seq, pair[1].user))]


def can_carry(equity: int, mark_value: int, amount: int) -> bool:
    """Whether a counterparty may be deleveraged: it has equity, and not less than zero after the settlement.

    It closes lots worth `mark_value` (signed like the bankrupt position) at `amount`: what it pays beyond mark it loses.
    """
    return equity > 0 and equity + mark_value - amount >= 0


def counterparties(
    spec: MarketSpec, mark: int, lots: int, amount: int, ranked: Iterable[Candidate]
) -> list[Counterparty]:
    """The accounts against which `lots` settled at `amount` are closed, best rank first; those that cannot carry it are skipped.

    Together fewer than `lots` if no other account can carry the rest.
    """
    chosen: list[Counterparty] = []
    done, size, sign = 0, abs(lots), 1 if lots > 0 else -1
    for each in ranked:
        part = min(abs(each.lots), size - done)
        if part and can_carry(
            each.equity, spec.notional(mark, sign * part), settled_part(amount, lots, done, done + part)
        ):
            chosen.append(Counterparty(each.user, Lots(part)))
            done += part
    return chosen
