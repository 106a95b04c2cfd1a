"""Cancel on disconnect: the orders of a connection that has ended are cancelled, however it ended."""

import asyncio
import logging
from collections.abc import Iterable

from api.live.session.orders_in_flight import OrdersInFlight
from api.submission.submission_queue import BatchFailed, SubmissionQueue
from schemas.refusals import ErrorCode, Refused
from store.submission import SubmitCancelAll

TRY_AGAIN_S = 1.0
_LATER = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.OVERLOADED, ErrorCode.INTERNAL_ERROR})
log = logging.getLogger(__name__)


class Disconnects:
    """Submits a cancel-all for each market, after what the connection has submitted itself, and again until it is stored."""

    def __init__(self, submissions: SubmissionQueue) -> None:
        self._submissions = submissions
        self._cancelling: set[asyncio.Task[None]] = set()
        self._is_finishing = False

    def cancel(self, user: int, markets: Iterable[str], orders: OrdersInFlight) -> None:
        """Cancel the orders of the user in these markets soon."""
        task = asyncio.create_task(self._cancel(user, sorted(markets), orders), name="cancel on disconnect")
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def finish(self) -> None:
        """Wait until all are stored; what cannot be stored now is given up, and the log says so."""
        self._is_finishing = True
        while self._cancelling:
            await asyncio.wait(self._cancelling)

    async def _cancel(self, user: int, markets: list[str], orders: OrdersInFlight) -> None:
        await orders.landed()
        await asyncio.gather(*(self._cancel_in(user, market) for market in markets))

    async def _cancel_in(self, user: int, market: str) -> None:
        while isinstance(outcome := await self._outcome(user, market), Refused) and outcome.code in _LATER:
            if self._is_finishing:
                known = {"user": str(user), "market": market, "code": outcome.code.value}
                log.error("orders of user %(user)s in %(market)s are not cancelled: %(code)s", known, extra=known)
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _outcome(self, user: int, market: str) -> object:
        try:
            return await self._submissions.submit(SubmitCancelAll(user, market))
        except BatchFailed:
            return Refused(ErrorCode.INTERNAL_ERROR, "the batch failed")
