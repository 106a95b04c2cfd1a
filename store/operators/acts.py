"""The log of operators: append-only, written in the transaction of each act, and read in pages."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.acts import Action, ActView
from schemas.units import Micros, Timestamp, datetime_of
from store.queries.by_id import page_by_id
from store.queries.formatting import storable, time_text
from store.queries.paging import Conditions, ListRequest
from store.session.connect import Session

_RECORD = """
INSERT INTO operator_acts (at, operator_id, shell, action, user_id, market_id, reason, before, after, transfer_id, amount)
VALUES ($1, $2, $3, $4, $5, (SELECT market_id FROM markets WHERE name = $6), $7, $8::jsonb, $9::jsonb, $10, $11)
RETURNING *, (SELECT m.name FROM markets m WHERE m.market_id = operator_acts.market_id) AS market
"""
_READ = """
SELECT a.*, m.name AS market FROM operator_acts a LEFT JOIN markets m USING (market_id) WHERE
"""


class Operator(NamedTuple):
    """Who acts: an administrator over REST, by user id, or the account of a command line, as user@machine. One of the two."""

    user: int | None
    shell: str | None


class Act(NamedTuple):
    """What was done, to whom or where, and what it changed; of a correction also its transfer, and what the wallet gained."""

    action: Action
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    user: int | None = None
    market: str | None = None
    reason: str | None = None
    transfer_id: int | None = None
    amount: Micros | None = None


async def record_act(session: Session, operator: Operator, act: Act, at: Timestamp) -> ActView:
    """Write the act into the log, in the caller's transaction."""
    row = await session.fetchrow(
        _RECORD,
        datetime_of(at),
        operator.user,
        operator.shell,
        act.action,
        act.user,
        act.market,
        act.reason,
        msgspec.json.encode(act.before).decode(),
        msgspec.json.encode(act.after).decode(),
        act.transfer_id,
        act.amount,
    )
    return act_view(row)


async def list_acts(session: Session, user: int | None, request: ListRequest) -> Page[ActView] | Refused:
    """A page of the log by time, filtered by the user whom it concerns, by market and period."""
    where = Conditions("true")
    where.add_period("a.at", request)
    if user is not None:
        where.add("a.user_id = {}", user)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    return await page_by_id(session, _READ, where, request, id_column="a.act_id", view=act_view)


def act_view(row: Any) -> ActView:
    """A row of `operator_acts`, with its market's name, as the API returns it."""
    return ActView(
        act_id=str(row["act_id"]),
        time=time_text(row["at"]),
        operator_id=None if row["operator_id"] is None else str(row["operator_id"]),
        shell=row["shell"],
        action=Action(row["action"]),
        user_id=None if row["user_id"] is None else str(row["user_id"]),
        market_id=row["market"],
        reason=row["reason"],
        before=msgspec.json.decode(row["before"]),
        after=msgspec.json.decode(row["after"]),
    )
