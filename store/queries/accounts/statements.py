"""Monthly statements: the sums of one month of a user's ledger, and the wallet before and after it."""

from datetime import UTC, datetime

from schemas.rest.accounts import StatementView
from schemas.units import Timestamp, datetime_of, format_micros
from store.money.ledger import EntryType
from store.queries.accounts.balances import ASSET
from store.queries.formatting import time_text
from store.session.connect import Session

SUMS: dict[str, str] = {
    EntryType.DEPOSIT: "deposits",
    EntryType.WITHDRAW: "withdrawals",
    EntryType.REALIZED_PNL: "realized_pnl",
    EntryType.TRADING_FEE: "fees",
    EntryType.FUNDING_PAYMENT: "funding",
    EntryType.LIQUIDATION_FEE: "liquidation_fees",
    EntryType.INSURANCE_FUND_TRANSFER: "insurance",
    EntryType.INSURANCE_FUND_CREDIT: "insurance",
}
"""The sum that each type of entry belongs to."""
OTHERWISE = "corrections"
# The wallet after the last entry of before, without what was posted earlier and is of this month or later: the logs of several
# markets are written side by side, so times are not quite in the order of the entries.
_OPENING = """
SELECT a.balance_after - coalesce((SELECT sum(l.amount) FROM ledger l
  WHERE l.account = $1 AND l.account > 0 AND l.entry_id < a.entry_id AND l.at >= $2), 0)
FROM ledger a WHERE a.account = $1 AND a.account > 0 AND a.at < $2 ORDER BY a.entry_id DESC LIMIT 1
"""
_READ = f"""
SELECT NULL AS type, ({_OPENING})::int8 AS amount, 0::int8 AS entries
UNION ALL
SELECT type, sum(amount)::int8, count(*) FROM ledger
WHERE account = $1 AND account > 0 AND at >= $2 AND at < $3 GROUP BY type
"""  # noqa: S608 - both are ours


async def read_statement(session: Session, user: int, month: datetime, now: Timestamp) -> StatementView:
    """The statement of the month that begins at a time, as far as it is posted: one statement, so one state of the books."""
    following = next_month(month)
    rows = await session.fetch(_READ, user, month, following)
    opening = next(row["amount"] for row in rows if row["type"] is None) or 0
    sums = dict.fromkeys([*SUMS.values(), OTHERWISE], 0)
    for row in rows:
        if row["type"] is not None:
            sums[SUMS.get(row["type"], OTHERWISE)] += row["amount"]
    return StatementView(
        month=f"{month:%Y-%m}",
        from_=time_text(month),
        to=time_text(following),
        asset=ASSET,
        opening=format_micros(opening),
        closing=format_micros(opening + sum(sums.values())),
        entries=sum(row["entries"] for row in rows),
        is_final=following <= datetime_of(now),
        **{name: format_micros(amount) for name, amount in sums.items()},
    )


def next_month(month: datetime) -> datetime:
    """The first moment of the month after."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
