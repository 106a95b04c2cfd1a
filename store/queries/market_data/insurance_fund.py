"""The public view of the insurance fund: its money, its positions, and its ledger."""

from exchange.risk.account import PositionRisk
from exchange.risk.margin import unrealized_pnl
from schemas.ids import INSURANCE_FUND
from schemas.refusals import Refused
from schemas.rest.liquidations import InsuranceFundView, InventoryView
from schemas.units import format_micros
from store.margin_accounts import read_account
from store.queries.accounts.balances import ASSET
from store.queries.accounts.ledger import list_ledger
from store.queries.formatting import average_price_text, price_text, quantity_text, side_text
from store.queries.paging import ListRequest
from store.session.connect import Session

_WALLET = "SELECT coalesce(sum(amount), 0)::int8 FROM ledger WHERE account = house_account('insurance')"


async def read_fund(session: Session, request: ListRequest) -> InsuranceFundView | Refused:
    """The fund and a page of its ledger, in one snapshot."""
    async with session.transaction(isolation="repeatable_read", readonly=True):
        page = await list_ledger(session, INSURANCE_FUND, request)
        if isinstance(page, Refused):
            return page
        wallet = await session.fetchval(_WALLET)
        account = await read_account(session, INSURANCE_FUND)
    held = account.positions if account else []
    profit = sum(unrealized_pnl(risk.market.spec, risk.exposure, risk.market.mark) for risk in held)
    return InsuranceFundView(
        asset=ASSET,
        wallet=format_micros(wallet),
        unrealized_pnl=format_micros(profit),
        equity=format_micros(wallet + profit),
        positions=sorted(map(_inventory, held), key=lambda view: view.market_id),
        data=page.data,
        next_cursor=page.next_cursor,
    )


def _inventory(risk: PositionRisk) -> InventoryView:
    spec, mark, exposure = risk.market.spec, risk.market.mark, risk.exposure
    return InventoryView(
        market_id=spec.market,
        side=side_text(exposure.lots),
        quantity=quantity_text(spec, abs(exposure.lots)),
        entry_price=average_price_text(spec, abs(exposure.cost), abs(exposure.lots)) or "0",
        mark_price=price_text(spec, mark),
        unrealized_pnl=format_micros(unrealized_pnl(spec, exposure, mark)),
    )
