"""Examples in the OpenAPI document; a test checks each against its schema."""

from typing import Any

from schemas.api_keys import ApiKeyCreated, ApiKeyRequest, ApiKeyView
from schemas.rest import (
    BalanceView,
    CancelTaken,
    Credentials,
    DepositRequest,
    Drained,
    DrainRequest,
    LeverageRequest,
    LeverageView,
    LoggedIn,
    OrderRequest,
    OrderTaken,
    Registered,
    WithdrawalRequest,
)

_KEY = {
    "keyId": "1",
    "label": "my bot",
    "scopes": ["read", "trade"],
    "allowedAddresses": ["192.0.2.0/24"],
    "createdAt": "2027-01-01T00:00:00.000000Z",
    "expiresAt": None,
    "revokedAt": None,
}

EXAMPLES: dict[Any, dict[str, Any]] = {
    Credentials: {"email": "alice@example.com", "password": "correct horse battery"},
    Registered: {"userId": "1"},
    LoggedIn: {"token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "userId": "1"},
    ApiKeyRequest: {"label": "my bot", "scopes": ["read", "trade"], "allowedAddresses": ["192.0.2.0/24"]},
    ApiKeyCreated: {"secret": "perp_Zk3v9Qw7LmN2xY8bTt5RcU0pAs4HdFZk3v9Qw7LmN2xY", "key": _KEY},
    ApiKeyView: _KEY,
    DepositRequest: {"asset": "USDC", "amount": "10000"},
    WithdrawalRequest: {"asset": "USDC", "amount": "2500.5"},
    BalanceView: {
        "asset": "USDC",
        "total": "10000",
        "locked": "3003",
        "available": "6997",
        "availableMargin": "6997",
    },
    LeverageRequest: {"leverage": 10},
    LeverageView: {
        "marketId": "BTC-PERP",
        "leverage": 10,
        "maxLeverage": 20,
        "initialMargin": "3000",
        "maintenanceMargin": "150",
        "availableMargin": "6997",
    },
    OrderRequest: {
        "marketId": "BTC-PERP",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.5",
        "price": "60000",
        "clientOrderId": "my-first-order",
        "leverage": 10,
    },
    OrderTaken: {"orderId": "BTC-PERP-57", "status": "PENDING"},
    CancelTaken: {"orderId": "BTC-PERP-57", "status": "PENDING_CANCEL"},
    DrainRequest: {"marketId": "BTC-PERP"},
    Drained: {
        "processed": 3,
        "markets": [
            {
                "marketId": "BTC-PERP",
                "commandSequence": 60,
                "eventSequence": 91,
                "eventHash": "5f0c6cbb8f2f0ef1a3c6a2f3a9bb0d4e",
            }
        ],
    },
}
