"""The routes of the contract, one module a subject; each names its own in `ROUTES`."""

from api.route import Route
from api.routes import (
    account,
    admin,
    api_keys,
    auth,
    docs,
    health,
    history,
    leverage,
    markets,
    metrics,
    orders,
    transfers,
)

ALL_ROUTES: tuple[Route, ...] = (
    *auth.ROUTES,
    *api_keys.ROUTES,
    *markets.ROUTES,
    *transfers.ROUTES,
    *account.ROUTES,
    *leverage.ROUTES,
    *history.ROUTES,
    *orders.ROUTES,
    *admin.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
    *docs.ROUTES,
)
"""The table of contents: what the router and the OpenAPI document are made of."""
