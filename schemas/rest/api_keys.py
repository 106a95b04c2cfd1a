"""API keys: what a program may do on behalf of a user, and the bodies to create, list and revoke them."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from schemas.rest.bodies import EXPECTED, Moment, Request, TimeText, View

KEY_PREFIX = "perp_"
"""The prefix of every key: it distinguishes keys from tokens, and lets scanners find leaked keys."""
SCOPES_MAX = 3
ADDRESSES_MAX = 20


class Scope(StrEnum):
    """What a key may do; none includes another."""

    READ = "read"
    """Read the account: balances, positions, orders, fills, ledger."""
    TRADE = "trade"
    """Place and cancel orders, set the leverage."""
    WITHDRAW = "withdraw"
    """Withdraw money."""


Label = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,64}$(?!\n)",
        description="A name that distinguishes the key for people",
        extra={EXPECTED: "a name of 1 to 64 characters without control characters"},
    ),
]
NetworkText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$(?!\n)",
        description="An IP address, or a network in CIDR notation without host bits",
        examples=["192.0.2.0/24"],
        extra={EXPECTED: 'an IP address or a network, like "192.0.2.1" or "192.0.2.0/24"'},
    ),
]


class ApiKeyRequest(Request, frozen=True):
    """Creates a key. Without `allowedAddresses` it works from anywhere, without `expiresAt` until it is revoked."""

    label: Label
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=SCOPES_MAX)]
    allowed_addresses: Annotated[list[NetworkText], Meta(max_length=ADDRESSES_MAX)] = []  # noqa: RUF012 - msgspec copies it
    expires_at: Moment | None = None


class ApiKeyView(View, frozen=True):
    """A key without its secret, which cannot be shown again."""

    key_id: str
    label: str
    scopes: list[Scope]
    allowed_addresses: list[str]
    created_at: TimeText
    expires_at: TimeText | None
    revoked_at: TimeText | None


class ApiKeyCreated(View, frozen=True):
    """A new key; `secret` is the value for `Authorization: Bearer`, and is shown only here."""

    secret: str
    key: ApiKeyView
