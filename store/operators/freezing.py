"""Freezing an account: from the commit on it may only reduce its positions, and withdraws nothing, until it is unfrozen.

What rests in the book and could open a position is cancelled in the same transaction; orders that only reduce stay. A
conditional order that waits stays too: if it fires while the account is frozen, it ends (MARGIN) instead of opening anything.
"""

from datetime import datetime

from schemas.ids import public_id_of_order
from schemas.orders import EndReason
from schemas.rest.operating.acts import Action, ActView
from schemas.units import Timestamp, datetime_of
from store.liquidations.accounts import lock_in_user_order, read_live_orders
from store.liquidations.cancelling import cancels
from store.liquidations.writing import append_case_commands
from store.operators.acts import Act, Operator, record_act
from store.queries.formatting import time_text_or_none
from store.session.connect import Session

_READ = "SELECT user_id, frozen_at FROM accounts WHERE user_id = $1 AND user_id > 0"
_FREEZE = "UPDATE accounts SET frozen_at = $2 WHERE user_id = $1"
_NAMES = "SELECT market_id, name FROM markets"


async def freeze(session: Session, operator: Operator, user: int, reason: str, now: Timestamp) -> ActView | None:
    """Freeze the account and cancel its live orders that are not reduce-only; None for an unknown user.

    Repeated, it keeps the first time, and cancels what is left.
    """
    async with session.transaction():
        await lock_in_user_order(session, [user])
        account = await session.fetchrow(_READ, user)
        if account is None:
            return None
        opening = [order for order in await read_live_orders(session, user) if not order.reduce_only]
        commands = cancels(user, opening, EndReason.MARGIN, now)
        if commands:
            await append_case_commands(session, commands, now)
        frozen_at: datetime = account["frozen_at"] or datetime_of(now)
        await session.execute(_FREEZE, user, frozen_at)
        names = {row["market_id"]: row["name"] for row in await session.fetch(_NAMES)}
        cancelled = [public_id_of_order(names[each.market_id], each.cancels) for each in commands if each.cancels]
        after = {"frozenAt": time_text_or_none(frozen_at), "cancelledOrders": cancelled}
        act = Act(Action.FREEZE, _state(account["frozen_at"]), after, user, reason=reason)
        return await record_act(session, operator, act, now)


async def unfreeze(session: Session, operator: Operator, user: int, reason: str, now: Timestamp) -> ActView | None:
    """Let the account trade and withdraw again, as far as its margin does; None for an unknown user."""
    async with session.transaction():
        await lock_in_user_order(session, [user])
        account = await session.fetchrow(_READ, user)
        if account is None:
            return None
        await session.execute(_FREEZE, user, None)
        act = Act(Action.UNFREEZE, _state(account["frozen_at"]), _state(None), user, reason=reason)
        return await record_act(session, operator, act, now)


def _state(frozen_at: datetime | None) -> dict[str, str | None]:
    return {"frozenAt": time_text_or_none(frozen_at)}
