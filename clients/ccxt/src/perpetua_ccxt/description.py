"""What ccxt is told about the exchange; `has` names what the tests try, and nothing else."""

from typing import Any

from ccxt.base.decimal_to_precision import TICK_SIZE
from ccxt.base.errors import (
    AuthenticationError,
    BadRequest,
    BadSymbol,
    DuplicateOrderId,
    ExchangeNotAvailable,
    InsufficientFunds,
    InvalidOrder,
    OperationFailed,
    OrderNotFound,
    PermissionDenied,
    RateLimitExceeded,
)

CLAIMED = (
    "cancelAllOrders cancelAllOrdersAfter cancelOrder createLimitOrder createMarketOrder createOrder createOrders "
    "createOrderWithTakeProfitAndStopLoss createPostOnlyOrder createReduceOnlyOrder createStopLimitOrder createStopLossOrder "
    "createStopMarketOrder createStopOrder createTakeProfitOrder createTrailingPercentOrder createTriggerOrder editOrder "
    "fetchBalance fetchClosedOrders fetchDeposits fetchFundingHistory fetchFundingRate fetchFundingRateHistory "
    "fetchFundingRates fetchLedger fetchLeverage fetchLeverageTiers fetchMarkets fetchMarketLeverageTiers fetchMyTrades "
    "fetchOHLCV fetchOpenInterest fetchOpenOrders fetchOrder fetchOrderBook fetchOrders fetchOrderTrades fetchPosition "
    "fetchPositions fetchStatus fetchTicker fetchTickers fetchTime fetchTrades fetchTradingFee fetchTradingFees "
    "fetchWithdrawals setLeverage"
).split()
_NOT = "spot margin future option withdraw transfer fetchCurrencies fetchDepositAddress setMarginMode addMargin reduceMargin".split()
WATCHED = (
    "ws watchBalance watchMyTrades watchOHLCV watchOrderBook watchOrders watchPositions watchTicker watchTrades"
).split()
ERRORS = {
    "UNAUTHENTICATED": AuthenticationError,
    "FORBIDDEN": PermissionDenied,
    "MARKET_NOT_FOUND": BadSymbol,
    "INVALID_ORDER": InvalidOrder,
    "INVALID_REQUEST": BadRequest,
    "INSUFFICIENT_MARGIN": InsufficientFunds,
    "INSUFFICIENT_BALANCE": InsufficientFunds,
    "DUPLICATE_CLIENT_ORDER_ID": DuplicateOrderId,
    "MARKET_NOT_ACTIVE": OperationFailed,
    "ORDER_NOT_FOUND": OrderNotFound,
    "ORDER_NOT_OPEN": OrderNotFound,
    "NOT_FOUND": BadRequest,
    "RATE_LIMITED": RateLimitExceeded,
    "OVERLOADED": ExchangeNotAvailable,
    "UNAVAILABLE": ExchangeNotAvailable,
    "NOT_YET": ExchangeNotAvailable,
    "IDEMPOTENCY_CONFLICT": BadRequest,
    "INTERNAL_ERROR": ExchangeNotAvailable,
}


def description() -> dict[str, Any]:
    """For `Exchange.describe`."""
    return {
        "id": "perpetua",
        "name": "Perpetua",
        "countries": [],
        "rateLimit": 20,
        "version": "v1",
        "certified": False,
        "pro": True,
        "has": {"swap": True, **dict.fromkeys(CLAIMED, True), **dict.fromkeys(_NOT, False), "CORS": None},
        "timeframes": {frame: frame for frame in ("1m", "5m", "15m", "1h", "4h", "1d")},
        "urls": {"api": {"rest": "http://127.0.0.1:8080"}, "www": "", "doc": ""},
        "requiredCredentials": {"apiKey": True, "secret": True},
        "precisionMode": TICK_SIZE,
        "exceptions": {"exact": ERRORS, "broad": {}},
        "options": {
            "timeDifference": 0,
            "adjustForTimeDifference": False,
            "readYourWrites": True,
        },
    }
