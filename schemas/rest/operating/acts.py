"""What operators do to accounts and markets, and the log of it."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta

from schemas.market import MarketStatus
from schemas.rest.accounts import BalanceView
from schemas.rest.bodies import EXPECTED, Request, TimeText, View
from schemas.units import DECIMAL_PATTERN

Reason = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)",
        max_length=500,
        description="Why, for the log of operators",
        extra={EXPECTED: "1 to 500 characters without control characters, not only spaces"},
    ),
]
SignedDecimalText = Annotated[
    str,
    Meta(
        pattern="^-?" + DECIMAL_PATTERN[1:-1] + r"$(?!\n)",
        max_length=38,
        description="A decimal number as a string, negative to take money",
        extra={EXPECTED: 'a decimal string like "-12.5"'},
    ),
]


class Action(StrEnum):
    """What an operator can do."""

    SET_STATUS = "SET_STATUS"
    SET_INDEX = "SET_INDEX"
    SET_SPEC = "SET_SPEC"
    SET_RULES = "SET_RULES"
    SET_PRICE_SOURCES = "SET_PRICE_SOURCES"
    LIST_MARKET = "LIST_MARKET"
    PLACE_MARKET = "PLACE_MARKET"
    DRAIN = "DRAIN"
    RETRY_DEAD_LETTER = "RETRY_DEAD_LETTER"
    REPAIR_TOPICS = "REPAIR_TOPICS"
    REBUILD = "REBUILD"
    FREEZE = "FREEZE"
    UNFREEZE = "UNFREEZE"
    REVOKE_KEYS = "REVOKE_KEYS"
    END_SESSIONS = "END_SESSIONS"
    REMOVE_TOTP = "REMOVE_TOTP"
    CORRECT_BALANCE = "CORRECT_BALANCE"
    GRANT_ADMIN = "GRANT_ADMIN"
    REVOKE_ADMIN = "REVOKE_ADMIN"


class ReasonRequest(Request, frozen=True):
    """An act on an account, with its reason."""

    reason: Reason


class CorrectionRequest(Request, frozen=True):
    """Gives money to a wallet, or takes it with a negative amount."""

    asset: Annotated[str, Meta(min_length=1, max_length=16)]
    amount: SignedDecimalText
    reason: Reason


class StatusRequest(Request, frozen=True):
    """Sets the status of a market through its log: HALTED halts it, CANCEL_ONLY accepts only cancels, ACTIVE resumes it."""

    status: Literal["ACTIVE", "CANCEL_ONLY", "HALTED"]
    reason: Reason

    @property
    def wanted(self) -> MarketStatus:
        """The status asked for."""
        return MarketStatus(self.status)


class ActView(View, frozen=True):
    """An entry of the operators' log. `operatorId` is the administrator who called the API; `shell` the account that used a command line, as
    user@machine: one of them is null. `before` and `after` are the state that the act changed.
    """

    act_id: str
    time: TimeText
    operator_id: str | None
    shell: str | None
    action: Action
    user_id: str | None
    market_id: str | None
    reason: str | None
    before: dict[str, Any]
    after: dict[str, Any]


class UserView(View, frozen=True):
    """A user as operators see them. `frozenAt`: since when the account may only reduce, by an operator's act; null if it is not frozen."""

    user_id: str
    email: str
    role: str
    created_at: TimeText
    frozen_at: TimeText | None


class UserAccountView(View, frozen=True):
    """A user with their money. `equity` is the wallet with all unrealized profit; the account is liquidated when it does not exceed
    `maintenanceMargin`. `activeKeys` counts API keys that are neither revoked nor expired.
    """

    user: UserView
    balance: BalanceView
    equity: str
    required_margin: str
    maintenance_margin: str
    is_in_liquidation: bool
    active_keys: int
    open_orders: int
