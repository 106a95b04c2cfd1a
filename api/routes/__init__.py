"""The routes of the contract, one module a subject; each names its own in `ROUTES`."""

from api.route import Route
from api.routes import account, admin, auth, docs, health, markets, orders, transfers

ALL_ROUTES: tuple[Route, ...] = (
    *auth.ROUTES,
    *markets.ROUTES,
    *transfers.ROUTES,
    *account.ROUTES,
    *orders.ROUTES,
    *admin.ROUTES,
    *health.ROUTES,
    *docs.ROUTES,
)
"""The table of contents: what the router and the OpenAPI document are made of."""
