"""What one route is: the single source of the router, the guard at its door and the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web

from api.access.budgets import Budget
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope

_OF_THE_SERVER = frozenset({"health", "docs"})
"""Tags of what tells of the process, not of the exchange."""
_BUDGETS_OF_PATHS = {"/auth/register": Budget.REGISTRATIONS, "/auth/login": Budget.LOGINS}


class Access(Enum):
    """Who may call a route. Administrators are looked up in the database at every call."""

    PUBLIC = "public"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a request header, for the document; its meaning is checked by the route."""

    name: str
    schema: dict[str, Any]
    description: str
    place: str = "query"


@dataclass(frozen=True)
class Answer:
    """A successful answer: its body's type (None: it has no body), what it says, and headers that come with it."""

    body: Any
    description: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """One method on one path. User and admin handlers are also handed the caller's user id."""

    method: str
    path: str
    handler: Callable[..., Awaitable[web.StreamResponse]]
    summary: str
    responses: dict[int, Answer]
    access: Access = Access.PUBLIC
    scope: Scope | None = None
    """What an API key must be allowed so that it opens the route; None: no key opens it."""
    body: Any = None
    errors: tuple[ErrorCode, ...] = ()
    parameters: tuple[Parameter, ...] = field(default=())
    content_type: str = "application/json"
    tag: str = "exchange"

    @property
    def takes_query(self) -> bool:
        """Whether any query parameter is known here; elsewhere a query string is refused."""
        return any(parameter.place == "query" for parameter in self.parameters)

    @property
    def budget(self) -> Budget:
        """What a call of it is counted in: by address where anybody may call, else by user."""
        if self.access is Access.PUBLIC:
            return _BUDGETS_OF_PATHS.get(self.path, Budget.PROBES if self.tag == "health" else Budget.PUBLIC)
        if self.path.split("/")[1] != "orders" or self.method == "GET":
            return Budget.REQUESTS
        return Budget.CANCELS if self.method == "DELETE" else Budget.ORDERS

    @property
    def can_wait(self) -> bool:
        """Whether it reads what commands change, so that it may be asked to wait for one: each GET not of the server."""
        return self.method == "GET" and self.tag not in _OF_THE_SERVER
