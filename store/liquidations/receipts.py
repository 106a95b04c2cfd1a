"""Receipts: all inputs of the decision on a forced action, so that anyone can recompute it (docs/semantics.md, "Liquidation").

Money, prices and quantities are decimal strings, as in every answer; sizes, costs and amounts are signed.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from exchange.risk.account import MarginAccount, PositionRisk
from exchange.risk.deleveraging import Candidate, adl_score
from exchange.risk.liquidation import BankruptShare, bankrupt_shares
from exchange.risk.liquidation_policy import BankruptcyTransfer, Step
from exchange.risk.margin import equity, maintenance, total_maintenance
from schemas.commands import Counterparty
from schemas.market import MarketSpec
from schemas.risk_tiers import RiskTier
from schemas.units import format_micros, format_ppm, format_ratio_6
from store.queries.formatting import price_text, quantity_text

Receipt: TypeAlias = dict[str, object]
"""The value of `liquidation_steps.inputs`."""


def account_receipt(account: MarginAccount) -> Receipt:
    """Wallet, equity and maintenance, and for each position its part of them and its settlement amount."""
    shares = zip(account.positions, bankrupt_shares(account), strict=True)
    return {
        "wallet": format_micros(account.wallet),
        "equity": format_micros(equity(account)),
        "maintenance": format_micros(total_maintenance(account)),
        "positions": [
            _position(risk)
            | {"equityShare": format_micros(share.equity), "bankruptAmount": format_micros(share.amount)}
            for risk, share in shares
        ],
    }


def fund_receipt(fund: MarginAccount, in_flight: int) -> Receipt:
    """The fund: its wallet, its positions at mark, and the effect of the take-overs under way."""
    return {
        "wallet": format_micros(fund.wallet),
        "unrealizedPnl": format_micros(equity(fund) - fund.wallet),
        "inFlight": format_micros(in_flight),
        "positions": [_position(risk) for risk in fund.positions],
    }


def step_receipt(spec: MarketSpec, step: Step) -> Receipt:
    """The order of a liquidation step."""
    return {
        "side": str(step.side),
        "quantity": quantity_text(spec, step.lots),
        "limitPrice": price_text(spec, step.price),
        "equityElsewhere": format_micros(step.equity_elsewhere),
        "liquidationFeeRate": format_ppm(spec.liquidation_fee_rate),
    }


def transfer_receipt(spec: MarketSpec, transfer: BankruptcyTransfer) -> Receipt:
    """A position closed without the book, and its settlement amount."""
    return {
        "quantity": quantity_text(spec, transfer.lots),
        "cost": format_micros(transfer.cost),
        "equityShare": format_micros(transfer.share.equity),
        "amount": format_micros(transfer.share.amount),
    }


def part_receipt(spec: MarketSpec, lots: int, share: BankruptShare) -> Receipt:
    """The lots that the fund takes over because it cannot carry all, their part of E and of V."""
    return {
        "quantity": quantity_text(spec, lots),
        "equityShare": format_micros(share.equity),
        "amount": format_micros(share.amount),
    }


def ranking_receipt(
    spec: MarketSpec, ranked: Iterable[Candidate], chosen: Iterable[Counterparty]
) -> list[Mapping[str, object]]:
    """The other side in the order of the ranking, with the lots each was chosen to close."""
    lots = {each.user: each.lots for each in chosen}
    return [
        {
            "user": each.user,
            "quantity": quantity_text(spec, each.lots),
            "cost": format_micros(each.cost),
            "markValue": format_micros(each.mark_value),
            "bankruptAmount": format_micros(each.bankrupt_amount),
            "equity": format_micros(each.equity),
            "openedSeq": each.opened_seq,
            "score": _score(each),
            "closes": quantity_text(spec, lots.get(each.user, 0)),
        }
        for each in ranked
    ]


def _score(candidate: Candidate) -> str:
    score = adl_score(candidate.mark_value, candidate.cost, candidate.bankrupt_amount)
    return format_ratio_6(score.numerator, score.denominator)


def _position(risk: PositionRisk) -> Receipt:
    spec, mark, exposure = risk.market.spec, risk.market.mark, risk.exposure
    return {
        "marketId": spec.market,
        "quantity": quantity_text(spec, exposure.lots),
        "cost": format_micros(exposure.cost),
        "markPrice": price_text(spec, mark),
        "maintenance": format_micros(maintenance(spec, exposure, mark)),
        "maintenanceMarginRate": format_ppm(spec.tiers[0].maintenance_margin_rate),
    } | ({"riskTiers": [_tier(tier) for tier in spec.risk_tiers]} if spec.risk_tiers else {})


def _tier(tier: RiskTier) -> Receipt:
    return {
        "notionalUpTo": format_micros(tier.notional_up_to),
        "maintenanceMarginRate": format_ppm(tier.maintenance_margin_rate),
    }
