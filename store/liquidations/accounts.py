"""The locks of a liquidation, and the live orders of its account; `store.margin_accounts` reads the account itself."""

from collections.abc import Sequence
from typing import NamedTuple

from store.session.connect import Session

_LOCK = "SELECT 1 FROM accounts WHERE user_id = ANY($1::int8[]) ORDER BY user_id FOR NO KEY UPDATE"
_LIVE_ORDERS = """
SELECT order_id, market_id, remaining * CASE WHEN reduce_only THEN excess_per_lot ELSE loss_per_lot END AS open_loss,
  reduce_only, cancel_seq
FROM orders WHERE user_id = $1 AND is_live ORDER BY order_id
"""


class LiveOrder(NamedTuple):
    """A live order: its database key, the loss it may realize, and the command that already cancels it."""

    order_id: int
    market_id: int
    open_loss: int
    reduce_only: bool
    cancel_seq: int | None


async def lock_in_user_order(session: Session, users: Sequence[int]) -> None:
    """Lock the accounts in the order every transaction locks them; their contents must be read by a later statement."""
    await session.execute(_LOCK, list(users))


async def read_live_orders(session: Session, user: int) -> list[LiveOrder]:
    """The user's live orders, by market, oldest first."""
    return [LiveOrder(**row) for row in await session.fetch(_LIVE_ORDERS, user)]
