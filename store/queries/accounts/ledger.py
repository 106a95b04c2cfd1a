"""The ledger of one account, newest entry first: a user's, or the insurance fund's."""

from typing import Any

from schemas.ids import INSURANCE_FUND, public_event_id, public_id_of_order, public_trade_id
from schemas.orders import FillCause
from schemas.refusals import Refused
from schemas.rest.accounts import LedgerEntryView
from schemas.rest.bodies import Page
from schemas.units import format_micros
from store.queries.accounts.balances import ASSET
from store.queries.formatting import storable, time_text
from store.queries.paging import Conditions, Int8, ListRequest, decode_cursor, in_order, page_of
from store.session.connect import Session

_COLUMNS = "SELECT l.*, m.name FROM ledger l LEFT JOIN markets m USING (market_id) WHERE "


async def list_ledger(session: Session, account: int, request: ListRequest) -> Page[LedgerEntryView] | Refused:
    """A page of an account's entries in the order they were posted, filtered by market and period."""
    after = decode_cursor(request.cursor, Int8)
    if isinstance(after, Refused):
        return after
    where = Conditions("l.account = {}", account)
    where.add_period("l.at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    if after is not None:
        where.add_after(("l.entry_id",), (after,), request)
    rows = await session.fetch(f"{_COLUMNS}{where}{in_order(('l.entry_id',), request)}", *where.arguments)
    return page_of(rows, request.limit, lambda row: row["entry_id"], entry_view)


def entry_view(row: Any) -> LedgerEntryView:
    """A row of `ledger`, with its market's name, as the API returns it."""
    cause, after, market = row["cause"], row["balance_after"], row["name"]
    event_id = None if market is None else public_event_id(market, row["event_seq"])
    return LedgerEntryView(
        entry_id=str(row["entry_id"]),
        type=row["type"],
        cause=None if cause is None else FillCause(cause),
        asset=ASSET,
        amount=format_micros(row["amount"]),
        balance_after=None if after is None else format_micros(after),
        reference_id=_reference(row) or event_id or "",
        event_id=event_id,
        market_id=market,
        time=time_text(row["at"]),
    )


def _reference(row: Any) -> str | None:
    """The trade, order or transfer. The fund's ledger is public, and the order that paid it a fee is another account's."""
    if row["trade_id"] is not None:
        return public_trade_id(row["name"], row["trade_id"])
    if row["order_id"] is not None and row["account"] != INSURANCE_FUND:
        return public_id_of_order(row["name"], row["order_id"])
    return None if row["transfer_id"] is None else f"transfer-{row['transfer_id']}"
