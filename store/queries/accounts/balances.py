"""Balances: one quote asset per account, valued at mark (docs/semantics.md, "Margin")."""

from exchange.risk.account import MarginAccount
from exchange.risk.margin import available_margin, withdrawable
from schemas.refusals import Refused
from schemas.rest.accounts import BalanceView
from schemas.rest.bodies import Page
from schemas.units import format_micros
from store.margin_accounts import read_account
from store.queries.paging import ListRequest, page_by_name
from store.session.connect import Session

ASSET = "USDC"


def balance_view(account: MarginAccount) -> BalanceView:
    """Total is the wallet, available what can be withdrawn, locked the difference; amounts owed round up."""
    available = withdrawable(account)
    return BalanceView(
        asset=ASSET,
        total=format_micros(account.wallet),
        locked=format_micros(account.wallet - available),
        available=format_micros(available),
        available_margin=format_micros(available_margin(account)),
    )


async def list_balances(session: Session, user: int, request: ListRequest) -> Page[BalanceView] | Refused:
    """The balances of a user: always one of USDC, zero when nothing was deposited; empty for an unknown user."""
    account = await read_account(session, user)
    views = [] if account is None else [balance_view(account)]
    anywhere = ListRequest(limit=request.limit, cursor=request.cursor)  # a balance belongs to no market
    return page_by_name(views, anywhere, lambda view: view.asset)
