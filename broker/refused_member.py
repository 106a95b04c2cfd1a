"""A member that the broker refuses in its group logs the error, and joins once it is allowed to (aiokafka 0.14.0).

aiokafka keeps the error for the next fetch, and waits until it is raised there. But Faust fetches nothing before it is
assigned a partition: a worker without rights on its group logged nothing, and stayed out even after it got the rights.
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
        coordinator._push_error_to_user = self._report

    async def _report(self, error: Exception) -> None:
        """Leave the error of an owner to its next fetch; if no partition is assigned, log it, and join again later."""
        coordinator = self._coordinator
        if coordinator._subscription.assigned_partitions():
            await self._keep_for_fetch(error)
            return
        log.error("%s is kept out of its group: %r", coordinator.group_id, error)
        await asyncio.wait([coordinator._closing], timeout=TRY_AGAIN_S)
        coordinator.request_rejoin()
