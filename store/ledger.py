"""The double-entry ledger: who the house accounts are, and the entries that one event or transfer posts.

The entries of a transaction sum to zero. Entries of users carry the wallet after them; house accounts are only ever
inserted into, so that no row is updated by everyone, and their balance is the sum of their entries.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import NamedTuple

from schemas.events import TradeExecuted
from schemas.ids import INSURANCE_FUND
from schemas.orders import FillCause
from schemas.units import Micros


class House(IntEnum):
    """Accounts of the exchange itself: negative, so that no user can have their number."""

    EXTERNAL = -1
    FEES = -2
    INSURANCE = INSURANCE_FUND
    CLEARING = -4


class EntryType(StrEnum):
    """What moved the money (semantics.md section 7)."""

    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    TRADING_FEE = "TRADING_FEE"
    REALIZED_PNL = "REALIZED_PNL"
    INSURANCE_FUND_TRANSFER = "INSURANCE_FUND_TRANSFER"


class Entry(NamedTuple):
    """One line of a transaction: `amount` micros for `account`, a user id or a house account."""

    account: int
    type: EntryType
    amount: Micros
    cause: FillCause | None = None


def trade_entries(trade: TradeExecuted) -> list[Entry]:
    """Fees of both parties to the house, and realized profit against clearing; amounts of zero post nothing."""
    parties = (trade.maker, trade.taker)
    entries = [Entry(party.user, EntryType.TRADING_FEE, Micros(-party.fee)) for party in parties]
    entries.append(Entry(House.FEES, EntryType.TRADING_FEE, Micros(sum(party.fee for party in parties))))
    entries += [Entry(party.user, EntryType.REALIZED_PNL, party.realized, trade.cause) for party in parties]
    settled = Micros(-sum(party.realized for party in parties))
    entries.append(Entry(House.CLEARING, EntryType.REALIZED_PNL, settled, trade.cause))
    return [entry for entry in entries if entry.amount]


def deposit_entries(user: int, amount: Micros) -> list[Entry]:
    """Money comes in from outside into a wallet."""
    return [
        Entry(user, EntryType.DEPOSIT, amount),
        Entry(House.EXTERNAL, EntryType.DEPOSIT, Micros(-amount)),
    ]


def withdrawal_entries(user: int, amount: Micros) -> list[Entry]:
    """Money goes out of a wallet."""
    return [
        Entry(user, EntryType.WITHDRAW, Micros(-amount)),
        Entry(House.EXTERNAL, EntryType.WITHDRAW, amount),
    ]


def balance(entries: Iterable[Entry]) -> int:
    """What the entries sum to: zero for a transaction."""
    return sum(entry.amount for entry in entries)
