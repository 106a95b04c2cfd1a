"""What each kind of transaction posts: the entries sum to zero, amounts of zero post nothing."""

from schemas.events import FundingPaid, FundingPayment, LiquidationStepped, PositionsSettled, Settlement
from schemas.ids import INSURANCE_FUND
from schemas.orders import FillCause
from schemas.units import Lots, Micros, RateE9, Ticks, Timestamp
from store.money.ledger import (
    Entry,
    EntryType,
    House,
    balance,
    fund_credit_entries,
    funding_entries,
    liquidation_fee_entries,
    settlement_entries,
)

AT = Timestamp(0)


def paid(*payments: tuple[int, int]) -> FundingPaid:
    """One event of a funding: what each user is paid (micros)."""
    each = tuple(FundingPayment(user, 1, Micros(amount)) for user, amount in payments)
    return FundingPaid(1, 1, AT, AT, RateE9(1), Ticks(1), each)


def stepped(user: int, fee: int) -> LiquidationStepped:
    """The end of a liquidation step with this fee."""
    return LiquidationStepped(1, 1, AT, 1, user, 1, 1, Lots(1), Micros(100), Micros(fee), Ticks(1))


def test_the_fund_pays_what_a_wallet_is_below_zero() -> None:
    """INSURANCE_FUND_CREDIT of 12 micros: from the fund to the user."""
    assert fund_credit_entries(7, Micros(12)) == [
        Entry(7, EntryType.INSURANCE_FUND_CREDIT, Micros(12)),
        Entry(House.INSURANCE, EntryType.INSURANCE_FUND_CREDIT, Micros(-12)),
    ]


def test_the_fund_balances_each_event_of_a_funding_and_keeps_the_residue() -> None:
    """-7 and +4, then +2: the fund holds 3 in between, and 1 at the end."""
    first, second = funding_entries(paid((1, -7), (2, 4))), funding_entries(paid((3, 2)))
    assert (balance(first), balance(second)) == (0, 0)
    assert [entry.amount for entry in first + second if entry.account == House.INSURANCE] == [3, -2]


def test_the_fund_pays_funding_for_its_own_position_too() -> None:
    """Its payment is a separate line, in addition to the one that balances."""
    entries = funding_entries(paid((INSURANCE_FUND, -5), (2, 5)))
    assert [(entry.account, entry.amount) for entry in entries] == [(-3, -5), (2, 5)]


def test_a_liquidation_fee_goes_to_the_fund_and_the_fund_pays_none() -> None:
    """Nothing is posted for a fee of zero, nor for the fund's own sales."""
    assert [(entry.account, entry.amount) for entry in liquidation_fee_entries(stepped(7, 29))] == [(7, -29), (-3, 29)]
    assert liquidation_fee_entries(stepped(7, 0)) == liquidation_fee_entries(stepped(INSURANCE_FUND, 29)) == []


def test_the_end_of_a_market_is_settled_against_clearing() -> None:
    """+10 and -10 need no clearing entry; a part of the settlements, in one event, does."""
    whole = PositionsSettled(1, 1, AT, Ticks(1), (Settlement(1, 5, Micros(10)), Settlement(2, -5, Micros(-10))))
    part = PositionsSettled(1, 1, AT, Ticks(1), (Settlement(1, 5, Micros(10)),))
    assert [(entry.account, entry.amount) for entry in settlement_entries(whole)] == [(1, 10), (2, -10)]
    assert settlement_entries(part)[1] == Entry(
        House.CLEARING, EntryType.REALIZED_PNL, Micros(-10), FillCause.SETTLEMENT
    )
