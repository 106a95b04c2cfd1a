"""The locks of a liquidation, and the orders of its account; `store.margin_accounts` reads the account itself."""

from collections.abc import Sequence
from typing import NamedTuple

from store.session.connect import Session

_LOCK = "SELECT 1 FROM accounts WHERE user_id = ANY($1::int8[]) ORDER BY user_id FOR NO KEY UPDATE"
_ORDERS = """
SELECT order_id, market_id, (remaining + amend_lots) * CASE WHEN reduce_only THEN excess_per_lot ELSE loss_per_lot END AS open_loss,
  reduce_only, cancel_seq
FROM orders WHERE user_id = $1 AND {} ORDER BY order_id
"""
_LIVE_ORDERS = _ORDERS.format("is_live")
_OPEN_ORDERS = _ORDERS.format("(is_live OR is_waiting)")


class OpenOrder(NamedTuple):
    """A live or waiting order: its database key, the loss it may realize (none while it waits), and the command that already cancels it."""

    order_id: int
    market_id: int
    open_loss: int
    reduce_only: bool
    cancel_seq: int | None


async def lock_in_user_order(session: Session, users: Sequence[int]) -> None:
    """Lock the accounts in the order every transaction locks them; their contents must be read by a later statement."""
    await session.execute(_LOCK, list(users))


async def read_live_orders(session: Session, user: int) -> list[OpenOrder]:
    """The user's live orders, by market, oldest first."""
    return [OpenOrder(**row) for row in await session.fetch(_LIVE_ORDERS, user)]


async def read_open_orders(session: Session, user: int) -> list[OpenOrder]:
    """The user's live orders and the conditional ones that wait, by market, oldest first."""
    return [OpenOrder(**row) for row in await session.fetch(_OPEN_ORDERS, user)]
