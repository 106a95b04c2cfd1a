"""What ends a task of the live feed that nobody waits for."""

import asyncio
import logging

log = logging.getLogger(__name__)


def report_failure(task: "asyncio.Task[object]") -> None:
    """Log the error of a task that a bug has ended; to be added as its callback."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s has failed", task.get_name(), exc_info=error)
