"""The description of a route: the single source of the router, the guard and the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web

from api.access.budgets import Budget
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope

_READ_NOTHING = frozenset({"health", "docs", "live"})
"""Tags of routes that read nothing of the exchange: those about the process, and the socket, which only begins with the request."""
_CANCELLING = frozenset({"/orders/countdown"})
"""What counts as a cancel, although it is a POST on orders."""
_BUDGETS_OF_TAGS = {"health": Budget.PROBES, "docs": Budget.PAGES}
_BUDGETS_OF_PATHS = {"/auth/register": Budget.REGISTRATIONS, "/auth/login": Budget.LOGINS}


class Access(Enum):
    """Who may call a route. Administrators are checked against the database at every call."""

    PUBLIC = "public"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a request header, for the document; the route validates its value."""

    name: str
    schema: dict[str, Any]
    description: str
    place: str = "query"


@dataclass(frozen=True)
class Answer:
    """A successful answer: the type of its body (None: no body), its description, and its extra headers."""

    body: Any
    description: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """One method on one path. User and admin handlers also get the caller's user id."""

    method: str
    path: str
    handler: Callable[..., Awaitable[web.StreamResponse]]
    operation_id: str
    """The name of the operation in the OpenAPI document: a verb and a noun. Generated clients call their functions so: it never changes."""
    summary: str
    responses: dict[int, Answer]
    access: Access = Access.PUBLIC
    scope: Scope | None = None
    """The scope that an API key needs for the route; None: API keys are refused."""
    body: Any = None
    is_body_optional: bool = False
    """Whether a request without a body is valid too; on a route without `body`, a request with one is refused."""
    errors: tuple[ErrorCode, ...] = ()
    parameters: tuple[Parameter, ...] = field(default=())
    content_type: str = "application/json"
    """Of a success; several, separated by a comma and a space, where the caller chooses."""
    tag: str = "exchange"

    @property
    def takes_query(self) -> bool:
        """Whether the route has query parameters; without any, a query string is refused."""
        return any(parameter.place == "query" for parameter in self.parameters)

    @property
    def is_public_read(self) -> bool:
        """Whether anybody reads it: market data, health checks, documents."""
        return self.access is Access.PUBLIC and self.method == "GET"

    @property
    def budget(self) -> Budget:
        """The budget that a call counts against: per address on public routes, else per user."""
        if self.access is Access.PUBLIC:
            return _BUDGETS_OF_PATHS.get(self.path, _BUDGETS_OF_TAGS.get(self.tag, Budget.PUBLIC))
        if self.path.split("/")[1] != "orders" or self.method == "GET":
            return Budget.REQUESTS
        return Budget.CANCELS if self.method == "DELETE" or self.path in _CANCELLING else Budget.ORDERS

    @property
    def can_wait(self) -> bool:
        """Whether it can wait for a command: every GET of the exchange reads what commands change."""
        return self.method == "GET" and self.tag not in _READ_NOTHING
