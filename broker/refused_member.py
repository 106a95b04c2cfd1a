"""A member that the broker will not have in its group says so, and comes in once it may (aiokafka 0.14.0).

Stock keeps the error for whoever fetches next, and waits until he has it. But Faust fetches nothing before it has been dealt a
partition: a worker whose user lacks the right on its group said nothing, and stayed out also when the right had been given.
"""

import asyncio
import logging
from typing import Any

TRY_AGAIN_S = 5.0

log = logging.getLogger(__name__)


class RefusalWatch:
    """Watches the errors of one member's coordinator, whose private names it uses."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator
        self._keep_for_fetch = coordinator._push_error_to_user
        coordinator._push_error_to_user = self._tell

    async def _tell(self, error: Exception) -> None:
        """Leave an error to the next fetch of an owner; where nobody fetches, log it, and join anew after a while."""
        coordinator = self._coordinator
        if coordinator._subscription.assigned_partitions():
            await self._keep_for_fetch(error)
            return
        log.error("%s is kept out of its group: %r", coordinator.group_id, error)
        await asyncio.wait([coordinator._closing], timeout=TRY_AGAIN_S)
        coordinator.request_rejoin()
