"""What the exchange sends about an account on the socket: one struct for each `op`, of the private channels.

`sequence` is the sequence of the market's events: what the message shows is at least as of that event. `cursor` is where the channel
resumes after the message. `commandId` is the command that caused it: as `X-Wait-For-Command` a read has at least that.
"""

from enum import StrEnum
from typing import Literal

from schemas.orders import AmendRefusal
from schemas.rest.accounts import BalanceView, PositionView
from schemas.rest.bodies import View
from schemas.rest.orders import FillView, OrderView


class AccountChannel(StrEnum):
    """The private channels."""

    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    BALANCES = "balances"


class AccountSubscribed(View, frozen=True, tag_field="op", tag="subscribed"):
    """The first message of a subscription. `cursor` is where it begins."""

    channel: AccountChannel
    cursor: str


class Current(View, frozen=True, tag_field="op", tag="current"):
    """The present state, or what has changed since `from`, is complete: what follows happens now."""

    channel: AccountChannel
    cursor: str


class OrderChanged(View, frozen=True, omit_defaults=True, tag_field="op", tag="order"):
    """An order as REST shows it, on every change. `commandId` is left out in the present state.

    `amendRefused`: an amend of it was refused, and why.
    """

    channel: Literal["orders"]
    market: str
    sequence: int
    cursor: str
    data: OrderView
    command_id: str | None = None
    amend_refused: AmendRefusal | None = None


class OwnFill(View, frozen=True, omit_defaults=True, tag_field="op", tag="fill"):
    """A fill of the account as REST shows it: each, once."""

    channel: Literal["fills"]
    market: str
    sequence: int
    cursor: str
    data: FillView
    command_id: str | None = None


class PositionChanged(View, frozen=True, tag_field="op", tag="position"):
    """A position as REST shows it, null once it is closed; the latest, when an event has touched it."""

    channel: Literal["positions"]
    market: str
    sequence: int
    cursor: str
    data: PositionView | None


class BalanceChanged(View, frozen=True, tag_field="op", tag="balance"):
    """A balance as REST shows it; the latest, when an event or a transfer has touched it. `sequences`: of each market of the account."""

    channel: Literal["balances"]
    sequences: dict[str, int]
    cursor: str
    data: BalanceView


AccountMessage = AccountSubscribed | Current | OrderChanged | OwnFill | PositionChanged | BalanceChanged
