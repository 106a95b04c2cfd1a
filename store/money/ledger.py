"""The double-entry ledger: the house accounts, and the entries that one event or transfer posts.

The entries of a transaction sum to zero. A user's entry records the wallet after it. For a house account, entries are only
inserted: its balance is their sum, so there is no row that every transaction updates.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum

import msgspec

from schemas.events import FundingPaid, LiquidationStepped, PositionsSettled, PositionTransferred, TradeExecuted
from schemas.ids import INSURANCE_FUND
from schemas.orders import FillCause
from schemas.plain_members import plain_members
from schemas.units import Micros


@plain_members
class House(IntEnum):
    """Accounts of the exchange itself: negative, so they differ from every user id."""

    EXTERNAL = -1
    FEES = -2
    INSURANCE = INSURANCE_FUND
    CLEARING = -4


@plain_members
class EntryType(StrEnum):
    """Why the money moved (docs/semantics.md, "Ledger and conservation")."""

    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    TRADING_FEE = "TRADING_FEE"
    REALIZED_PNL = "REALIZED_PNL"
    FUNDING_PAYMENT = "FUNDING_PAYMENT"
    LIQUIDATION_FEE = "LIQUIDATION_FEE"
    INSURANCE_FUND_TRANSFER = "INSURANCE_FUND_TRANSFER"
    INSURANCE_FUND_CREDIT = "INSURANCE_FUND_CREDIT"
    CORRECTION = "CORRECTION"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a transaction: `amount` micros for `account`, a user id or a house account.

    The insurance fund trades under the number of its house account, so its realized profit is posted there.
    """

    account: int
    type: EntryType
    amount: Micros
    cause: FillCause | None = None


def trade_entries(trade: TradeExecuted) -> list[Entry]:
    """Fees of both parties to the house, and realized profit against clearing; amounts of zero post nothing."""
    maker, taker = trade.maker, trade.taker
    entries = (
        Entry(maker.user, EntryType.TRADING_FEE, Micros(-maker.fee)),
        Entry(taker.user, EntryType.TRADING_FEE, Micros(-taker.fee)),
        Entry(House.FEES, EntryType.TRADING_FEE, Micros(maker.fee + taker.fee)),
        Entry(maker.user, EntryType.REALIZED_PNL, maker.realized, trade.cause),
        Entry(taker.user, EntryType.REALIZED_PNL, taker.realized, trade.cause),
        Entry(House.CLEARING, EntryType.REALIZED_PNL, Micros(-maker.realized - taker.realized), trade.cause),
    )
    return [entry for entry in entries if entry.amount]


def transfer_entries(transfer: PositionTransferred) -> list[Entry]:
    """The realized profit of both accounts of a forced transfer, against clearing; no fee."""
    parties = (transfer.bankrupt, transfer.counterparty)
    return _realized([(party.user, party.realized) for party in parties], transfer.cause)


def settlement_entries(settled: PositionsSettled) -> list[Entry]:
    """The profit realized by every position when its market ends, against clearing."""
    return _realized([(each.user, each.realized) for each in settled.settlements], FillCause.SETTLEMENT)


def liquidation_fee_entries(step: LiquidationStepped) -> list[Entry]:
    """The fee of a liquidation step goes to the insurance fund; its own sales cost it nothing."""
    if step.user == House.INSURANCE or not step.fee:
        return []
    return [
        Entry(step.user, EntryType.LIQUIDATION_FEE, Micros(-step.fee)),
        Entry(House.INSURANCE, EntryType.LIQUIDATION_FEE, step.fee),
    ]


def funding_entries(paid: FundingPaid) -> list[Entry]:
    """Payments, balanced by the insurance fund: over all events of one funding, only the residue stays there."""
    entries = [Entry(payment.user, EntryType.FUNDING_PAYMENT, payment.amount) for payment in paid.payments]
    entries.append(Entry(House.INSURANCE, EntryType.FUNDING_PAYMENT, Micros(-balance(entries))))
    return [entry for entry in entries if entry.amount]


def fund_credit_entries(user: int, amount: Micros) -> list[Entry]:
    """The insurance fund pays `amount`, by which a wallet without positions is below zero."""
    return [
        Entry(user, EntryType.INSURANCE_FUND_CREDIT, amount),
        Entry(House.INSURANCE, EntryType.INSURANCE_FUND_CREDIT, Micros(-amount)),
    ]


def deposit_entries(user: int, amount: Micros) -> list[Entry]:
    """A deposit into a wallet."""
    return [
        Entry(user, EntryType.DEPOSIT, amount),
        Entry(House.EXTERNAL, EntryType.DEPOSIT, Micros(-amount)),
    ]


def withdrawal_entries(user: int, amount: Micros) -> list[Entry]:
    """A withdrawal from a wallet."""
    return [
        Entry(user, EntryType.WITHDRAW, Micros(-amount)),
        Entry(House.EXTERNAL, EntryType.WITHDRAW, amount),
    ]


def correction_entries(user: int, change: Micros) -> list[Entry]:
    """An operator gives a wallet money, or takes it (negative)."""
    return [
        Entry(user, EntryType.CORRECTION, change),
        Entry(House.EXTERNAL, EntryType.CORRECTION, Micros(-change)),
    ]


def balance(entries: Iterable[Entry]) -> int:
    """The sum of the entries: zero for a transaction."""
    return sum(entry.amount for entry in entries)


def _realized(amounts: list[tuple[int, Micros]], cause: FillCause) -> list[Entry]:
    entries = [Entry(user, EntryType.REALIZED_PNL, amount, cause) for user, amount in amounts]
    entries.append(Entry(House.CLEARING, EntryType.REALIZED_PNL, Micros(-balance(entries)), cause))
    return [entry for entry in entries if entry.amount]
