"""What can be asked on the socket: one operation for each `op`."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.live.session.replies import Reply, Submitted
from schemas.rest.api_keys import Scope

Asker = TypeVar("Asker")


class Operation(NamedTuple, Generic[Asker]):
    """One `op`: what it reads, what does it, the scope that it needs (None: it needs no user) and the budget it counts against."""

    op: str
    body: BodyReader[Any]
    handle: Callable[[Asker, Any], Awaitable[Reply | Submitted]]
    scope: Scope | None
    budget: Budget = Budget.REQUESTS
