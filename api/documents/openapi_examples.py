"""Examples in the OpenAPI document; a test checks each against its schema."""

from typing import Any

from schemas.rest.accounts import BalanceView, LeverageRequest, LeverageView
from schemas.rest.api_keys import ApiKeyCreated, ApiKeyRequest, ApiKeyView
from schemas.rest.bodies import Page
from schemas.rest.countdowns import CountdownRequest, CountdownView
from schemas.rest.drains import Drained, DrainRequest
from schemas.rest.market_data import CandleView, OrderBookView, TickerView, TradeView
from schemas.rest.markets import RiskTierView
from schemas.rest.operating.acts import ActView, CorrectionRequest, ReasonRequest, StatusRequest
from schemas.rest.operating.dead_letters import RetryRequest
from schemas.rest.order_groups import BatchRequest, OrderAnswersView
from schemas.rest.order_trace import OrderTraceView
from schemas.rest.orders import AmendRequest, AmendTaken, CancelTaken, OrderRequest, OrderTaken
from schemas.rest.previews import PreviewView
from schemas.rest.transfers import DepositRequest, WithdrawalRequest
from schemas.rest.users import (
    Credentials,
    LoggedIn,
    LoginRequest,
    MeView,
    PasswordChange,
    RecoveryCodes,
    Registered,
    TotpCode,
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

EXAMPLES: dict[Any, Any] = {
    Credentials: {"email": "alice@example.com", "password": "correct horse battery"},
    LoginRequest: {"email": "alice@example.com", "password": "correct horse battery", "code": "123456"},
    PasswordChange: {"password": "correct horse battery", "newPassword": "staple horse battery"},
    TotpCode: {"code": "123456"},
    RecoveryCodes: {"recoveryCodes": ["MFRA-GGZD-FMZT-IMZU"]},
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
    ReasonRequest: {"reason": "ticket 4711: card fraud reported"},
    CorrectionRequest: {"asset": "USDC", "amount": "-12.5", "reason": "ticket 4712: deposit credited twice"},
    StatusRequest: {"status": "HALTED", "reason": "the index of the venue is wrong"},
    RetryRequest: {"ids": ["engine.commands.BTC-PERP@57"], "reason": "the release that can read it runs"},
    ActView: {
        "actId": "12",
        "time": "2027-01-01T00:00:00.000000Z",
        "operatorId": "1",
        "shell": None,
        "action": "CORRECT_BALANCE",
        "userId": "7",
        "marketId": None,
        "reason": "ticket 4712: deposit credited twice",
        "before": {"total": "100"},
        "after": {"total": "87.5", "amount": "-12.5"},
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
    list[RiskTierView]: [
        {
            "notionalUpTo": "50000",
            "initialMarginRate": "0.05",
            "maintenanceMarginRate": "0.005",
            "maxLeverage": 20,
        },
        {
            "notionalUpTo": "250000",
            "initialMarginRate": "0.1",
            "maintenanceMarginRate": "0.01",
            "maxLeverage": 10,
        },
    ],
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
    AmendRequest: {"quantity": "0.6", "price": "60100"},
    AmendTaken: {"orderId": "BTC-PERP-57", "status": "PENDING_AMEND"},
    CancelTaken: {"orderId": "BTC-PERP-57", "status": "PENDING_CANCEL"},
    MeView: {
        "userId": "1",
        "email": "alice@example.com",
        "role": "user",
        "createdAt": "2027-01-15T12:00:00.000000Z",
        "isTotpEnabled": True,
        "recoveryCodesLeft": 10,
    },
    BatchRequest: {
        "orders": [
            {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.5", "price": "59990"},
            {
                "marketId": "BTC-PERP",
                "side": "BUY",
                "type": "LIMIT",
                "quantity": "0.5",
                "price": "59980",
                "takeProfit": {"triggerPrice": "63000"},
                "stopLoss": {"triggerPrice": "57000"},
            },
            {
                "marketId": "BTC-PERP",
                "side": "SELL",
                "type": "STOP_MARKET",
                "triggerPrice": "57000",
                "closePosition": True,
                "ocoGroup": "exit",
            },
        ]
    },
    OrderAnswersView: {
        "orders": [
            {
                "orderId": "BTC-PERP-57",
                "status": "PENDING",
                "commandId": "BTC-PERP:57",
                "isReplay": False,
                "error": None,
            },
            {
                "orderId": None,
                "status": None,
                "commandId": None,
                "isReplay": False,
                "error": {
                    "code": "INSUFFICIENT_MARGIN",
                    "message": "the order is not covered",
                    "details": {"required": "3003", "available": "3000", "pendingCancels": 0},
                },
            },
        ]
    },
    CountdownRequest: {"marketId": "BTC-PERP", "countdownMs": 30_000},
    list[CountdownView]: [
        {"marketId": "BTC-PERP", "countdownMs": 30_000, "cancelsAt": "2027-01-15T12:00:30.000000Z"},
    ],
    PreviewView: {
        "isAccepted": True,
        "refusal": None,
        "price": "60000",
        "notional": "30000",
        "marginRequired": "3015",
        "marginAdded": "3015",
        "equity": "10000",
        "availableMargin": "6985",
        "feeMax": "15",
        "commandSequence": 56,
        "outcome": {
            "status": "PARTIALLY_FILLED",
            "reason": None,
            "isTruncated": False,
            "filledQuantity": "0.2",
            "remainingQuantity": "0.3",
            "cutQuantity": "0",
            "averagePrice": "59999.75",
            "bestOppositePrice": None,
            "fills": [{"price": "59999.5", "quantity": "0.1"}, {"price": "60000", "quantity": "0.1"}],
            "fee": "5.999975",
            "realizedPnl": "0",
            "position": {"side": "LONG", "quantity": "0.2", "entryPrice": "59999.75", "liquidationPrice": "10080.2"},
            "positionIfFilled": {
                "side": "LONG",
                "quantity": "0.5",
                "entryPrice": "59999.9",
                "liquidationPrice": "40220.3",
            },
        },
    },
    OrderTraceView: {
        "orderId": "BTC-PERP-57",
        "marketId": "BTC-PERP",
        "clientOrderId": "my-first-order",
        "status": "PARTIALLY_FILLED",
        "commandSequence": 57,
        "acceptedCommandSequence": 60,
        "relayedCommandSequence": 60,
        "persistedCommandSequence": 59,
        "persistedEventSequence": 91,
        "hops": [
            {"hop": "ACCEPTED", "isDone": True, "time": "2027-01-15T12:00:00.000000Z", "commandId": "BTC-PERP:57"},
            {"hop": "RELAYED", "isDone": True, "time": "2027-01-15T12:00:00.004211Z", "commandId": "BTC-PERP:57"},
            {"hop": "MATCHED", "isDone": True, "time": "2027-01-15T12:00:00.007000Z", "commandId": "BTC-PERP:57"},
            {
                "hop": "FILLED",
                "isDone": True,
                "time": "2027-01-15T12:00:01.000000Z",
                "eventId": "BTC-PERP:88",
                "tradeId": "BTC-PERP-12",
                "liquidityRole": "MAKER",
                "price": "60000",
                "quantity": "0.3",
            },
            {"hop": "PERSISTED", "isDone": True, "time": "2027-01-15T12:00:00.010874Z", "commandId": "BTC-PERP:57"},
        ],
        "hasMoreFills": False,
        "amends": [
            {
                "commandId": "BTC-PERP:59",
                "requestedAt": "2027-01-15T12:00:02.000000Z",
                "addedQuantity": "0.1",
                "verdict": "DONE",
                "price": "60100",
                "amendedPrice": "60100",
                "amendedQuantity": "0.6",
                "eventId": "BTC-PERP:91",
            }
        ],
    },
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
        "skipped": [],
    },
    OrderBookView: {
        "marketId": "BTC-PERP",
        "sequence": 91,
        "time": "2027-01-15T12:00:00.000000Z",
        "bids": [{"price": "59999.9", "quantity": "0.75", "orders": 2}],
        "asks": [{"price": "60000.1", "quantity": "1.2", "orders": 1}],
    },
    Page[TradeView]: {
        "data": [
            {
                "tradeId": "BTC-PERP-12",
                "sequence": 12,
                "price": "60000",
                "quantity": "0.3",
                "notional": "18000",
                "takerSide": "SELL",
                "cause": "TRADE",
                "time": "2027-01-15T12:00:00.000000Z",
            }
        ],
        "nextCursor": None,
    },
    Page[CandleView]: {
        "data": [
            {
                "time": "2027-01-15T12:00:00.000000Z",
                "open": "60000",
                "high": "60010.5",
                "low": "59990",
                "close": "60005",
                "volume": "3.25",
                "notional": "195012.5",
                "trades": 7,
            }
        ],
        "nextCursor": None,
    },
    TickerView: {
        "marketId": "BTC-PERP",
        "status": "ACTIVE",
        "sequence": 91,
        "time": "2027-01-15T12:00:00.000000Z",
        "lastPrice": "60005",
        "lastQuantity": "0.3",
        "lastTime": "2027-01-15T11:59:58.120000Z",
        "bestBid": {"price": "59999.9", "quantity": "0.75", "orders": 2},
        "bestAsk": {"price": "60000.1", "quantity": "1.2", "orders": 1},
        "markPrice": "60000.5",
        "indexPrice": "60000.25",
        "fundingRate": "0.0001",
        "predictedFundingRate": "0.000105",
        "nextFundingTime": "2027-01-15T16:00:00.000000Z",
        "openInterest": "12.5",
        "volume24h": "3.25",
        "notional24h": "195012.5",
        "trades24h": 7,
        "open24h": "60000",
        "high24h": "60010.5",
        "low24h": "59990",
        "change24h": "5",
        "changeRate24h": "0.000083",
    },
}
