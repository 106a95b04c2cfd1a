"""The routes of the contract, one module per subject; each lists its own in `ROUTES`."""

from api.route import Route
from api.routes import (
    account,
    docs,
    event_docs,
    history,
    leverage,
    live,
    market_data,
    markets,
    pages,
    public_fills,
    transfers,
)
from api.routes.operations import (
    admin,
    admin_accounts,
    admin_books,
    admin_dead_letters,
    admin_markets,
    admin_users,
    health,
    metrics,
)
from api.routes.orders import closing, countdown, order_groups, order_trace, orders, preview
from api.routes.reports import exports, statements
from api.routes.users import api_keys, auth, logins, totp

ALL_ROUTES: tuple[Route, ...] = (
    *auth.ROUTES,
    *totp.ROUTES,
    *logins.ROUTES,
    *api_keys.ROUTES,
    *markets.ROUTES,
    *public_fills.ROUTES,
    *market_data.ROUTES,
    *transfers.ROUTES,
    *account.ROUTES,
    *leverage.ROUTES,
    *closing.ROUTES,
    *history.ROUTES,
    *exports.ROUTES,
    *statements.ROUTES,
    *live.ROUTES,
    *orders.ROUTES,
    *order_groups.ROUTES,
    *countdown.ROUTES,
    *preview.ROUTES,
    *order_trace.ROUTES,
    *admin.ROUTES,
    *admin_markets.ROUTES,
    *admin_users.ROUTES,
    *admin_accounts.ROUTES,
    *admin_books.ROUTES,
    *admin_dead_letters.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
    *docs.ROUTES,
    *event_docs.ROUTES,
    *pages.ROUTES,
)
"""Every route: the source of the router and of the OpenAPI document."""
