"""Lists in the order of an id that counts up: newest or oldest first."""

from collections.abc import Callable
from typing import Any, TypeVar

from schemas.refusals import Refused
from schemas.rest.bodies import Page
from store.queries.paging import Conditions, Int8, ListRequest, decode_cursor, in_order, page_of
from store.session.connect import Session

View = TypeVar("View")


async def page_by_id(
    session: Session,
    select: str,
    where: Conditions,
    request: ListRequest,
    *,
    id_column: str,
    view: Callable[[Any], View],
) -> Page[View] | Refused:
    """A page of the rows that `select`, up to its WHERE, finds under these conditions. Refused: a foreign cursor."""
    after = decode_cursor(request.cursor, Int8)
    if isinstance(after, Refused):
        return after
    if after is not None:
        where.add_after((id_column,), (after,), request)
    rows = await session.fetch(f"{select}{where}{in_order((id_column,), request)}", *where.arguments)
    name = id_column.rpartition(".")[2]
    return page_of(rows, request.limit, lambda row: row[name], view)
