"""The recovery that loses no command (faust-streaming 0.15.3); `TableManager` is a public setting of a Faust app."""

import asyncio
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service

SAFE_TABLE_MANAGER = f"{__name__}.SafeTableManager"
"""What the app's setting `TableManager` is to be."""


class SafeRecovery(Recovery):
    """Restores tables as Faust does, lets no command in before the agents' queues have been cleared, and never goes deaf."""

    @Service.task
    async def _restart_recovery(self) -> None:
        """Recover whenever the group deals, until stopped; crash the app when that comes to an end by itself.

        Stock takes a CancelledError that leaked out of a call for its own end, says nothing, and the app goes on: dealt
        the partition later, it is the owner and never reads it.
        """
        try:
            await Recovery._restart_recovery.fun(self)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self.should_stop or task is None or task.cancelling():
                raise
            await self.crash(error)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow, then go on as Faust does.

        Stock: resumes the command partitions while the fetcher runs, then clears the agents' queues, and what was
        fetched in between is gone. Nothing may be queued before that clear.
        """
        self.app.consumer.stop_flow()
        await super().on_recovery_completed(generation_id)


def restored(app: faust.App) -> dict[Any, int | None]:
    """How far the tables of an app have been read out of their changelogs: the last offset by partition."""
    manager: Any = app.tables
    return dict(manager.recovery.active_offsets)


class SafeTableManager(TableManager):
    """A table manager with the recovery above."""

    async def on_start(self) -> None:
        """Begin at once. Stock first waits a second for tables to be declared; ours are before the app starts."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """The one recovery service of the app."""
        if self._recovery is None:
            self._recovery = SafeRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
