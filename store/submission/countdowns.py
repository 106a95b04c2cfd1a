"""Which markets a countdown concerns, and why it may be refused."""

from schemas.market import RULES_FOURTH, MarketStatus
from schemas.refusals import ErrorCode, Refused
from store.submission.reading import BatchState
from store.submission.requests import SubmitCountdown


def markets_of_countdown(request: SubmitCountdown, reading: BatchState) -> list[int] | Refused:
    """The ids of the markets to write it to: the one it names, or all but the settled ones.

    Refused: UNAUTHENTICATED (no such user), MARKET_NOT_FOUND, MARKET_NOT_ACTIVE (the market it names is settled, or one of its
    markets follows rules that know no countdown: then it is set nowhere, so that nobody relies on half of it).
    """
    if request.user not in reading.accounts:
        return Refused(ErrorCode.UNAUTHENTICATED, "the token names a user that is not here")
    if request.market is not None and request.market not in reading.markets:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": request.market})
    named = [each for each in reading.markets.values() if request.market in (None, each.spec.market)]
    markets = [each for each in named if each.status is not MarketStatus.SETTLED]
    if request.market is not None and not markets:
        details = {"marketId": request.market, "status": MarketStatus.SETTLED.value}
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, "the market is SETTLED", {**details})
    older = [each.spec.market for each in markets if each.rules < RULES_FOURTH]
    if older:
        advice = f"an operator moves it with `market rules {older[0]} {RULES_FOURTH}`"
        message = f"{older[0]} does not know countdowns yet; {advice}"
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"reason": "RULES", "marketIds": older})
    return sorted(each.market_id for each in markets)
