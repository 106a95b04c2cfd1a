"""What one route is: the single source of the router, the guard at its door and the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web

from schemas.refusals import ErrorCode

_OF_THE_SERVER = frozenset({"health", "docs"})
"""Tags of what tells of the process, not of the exchange."""


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
    """A successful answer: its body's type, what it says, and headers that come with it."""

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
    answers: dict[int, Answer]
    access: Access = Access.PUBLIC
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
    def can_wait(self) -> bool:
        """Whether it reads what commands change, so that it may be asked to wait for one: each GET not of the server."""
        return self.method == "GET" and self.tag not in _OF_THE_SERVER
