"""History of money and positions: the caller's ledger, funding payments and forced actions, and the insurance fund."""

from aiohttp import web

from api.paging import ORDERED, TIMED, page_answer, page_request
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.rest.accounts import LedgerEntryView
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import Page
from schemas.rest.liquidations import InsuranceFundView, ReceiptView
from schemas.rest.markets import FundingPaymentView
from store.queries.accounts.ledger import list_ledger
from store.queries.accounts.receipts import list_receipts
from store.queries.market_data.funding import list_payments
from store.queries.market_data.insurance_fund import read_fund

_LISTED = (*ORDERED, *TIMED)


async def ledger(request: web.Request, user: int) -> web.Response:
    """Every movement of the caller's wallet, newest first."""
    asked = page_request(request, _LISTED)
    return page_answer(await services_of(request).database.run(lambda session: list_ledger(session, user, asked)))


async def funding_payments(request: web.Request, user: int) -> web.Response:
    """The funding that the caller's positions paid and received, newest first."""
    asked = page_request(request, _LISTED)
    return page_answer(await services_of(request).database.run(lambda session: list_payments(session, user, asked)))


async def liquidations(request: web.Request, user: int) -> web.Response:
    """The receipts of forced actions on the caller's account, newest first."""
    asked = page_request(request, _LISTED)
    return page_answer(await services_of(request).database.run(lambda session: list_receipts(session, user, asked)))


async def insurance_fund(request: web.Request) -> web.Response:
    """The insurance fund: its money, its positions and its ledger."""
    asked = page_request(request, _LISTED)
    return page_answer(await services_of(request).database.run(lambda session: read_fund(session, asked)))


ROUTES = (
    Route(
        "GET",
        "/ledger",
        ledger,
        "listLedgerEntries",
        "List the movements of the wallet, newest or oldest first",
        {200: Answer(Page[LedgerEntryView], "Ledger entries.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_LISTED,
        tag="account",
    ),
    Route(
        "GET",
        "/funding-payments",
        funding_payments,
        "listFundingPayments",
        "List funding payments, newest or oldest first",
        {200: Answer(Page[FundingPaymentView], "Funding payments.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_LISTED,
        tag="account",
    ),
    Route(
        "GET",
        "/liquidations",
        liquidations,
        "listLiquidations",
        "List the receipts of forced actions, newest or oldest first",
        {200: Answer(Page[ReceiptView], "Receipts.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_LISTED,
        tag="account",
    ),
    Route(
        "GET",
        "/insurance-fund",
        insurance_fund,
        "getInsuranceFund",
        "Show the insurance fund",
        {200: Answer(InsuranceFundView, "Its balance, its positions, and a page of its ledger.")},
        parameters=_LISTED,
        tag="markets",
    ),
)
