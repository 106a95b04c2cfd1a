"""The recovery that loses no command (faust-streaming 0.15.3); `TableManager` is a public setting of a Faust app."""

import asyncio
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service

LOOK_EVERY_S = 0.2
LOOKS = 4
SAFE_TABLE_MANAGER = f"{__name__}.SafeTableManager"
"""The app setting `TableManager`."""


class SafeRecovery(Recovery):
    """Restores tables as Faust does, but no command arrives before the agents' queues are cleared, and it never ends silently."""

    @Service.task
    async def _restart_recovery(self) -> None:
        """Recover whenever the group assigns partitions, until stopped; crash the app if this task ends otherwise.

        In Faust, a CancelledError that leaks out of a call ends this task silently, and the app keeps running. When it
        is assigned the partition later, it becomes the owner but never reads it.
        """
        try:
            await Recovery._restart_recovery.fun(self)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self.should_stop or task is None or task.cancelling():
                raise
            await self.crash(error)

    @Service.task
    async def _end_at_marks(self) -> None:
        """End a recovery that waits for a record which never comes: the changelog ends with the mark of a transaction.

        Nobody of ours writes in transactions, but anybody may have. Faust waits for the last offset, and no consumer gets
        a mark. The consumer's position shows that it has read beyond it.
        """
        looks = 0
        while not self.should_stop:
            await self.sleep(LOOK_EVERY_S)
            looks = looks + 1 if self.in_recovery and await self._is_read() else 0
            if looks >= LOOKS:
                looks = 0
                self.active_offsets.update(self.active_highwaters)
                self.flush_buffers()
                self._set_recovery_ended()
                self.signal_recovery_end.set()

    async def _is_read(self) -> bool:
        """Whether records are missing, and the consumer has read beyond all changelogs and handed over what it read."""
        if not self.need_recovery() or not self.tables.changelog_queue.empty():
            return False
        for tp, highwater in list(self.active_highwaters.items()):
            position = await self.app.consumer.position(tp)
            if highwater >= 0 and (position is None or position <= highwater):
                return False
        return True

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow, then continue as Faust does.

        Faust resumes the command partitions while the fetcher runs and then clears the agents' queues: records fetched
        in between are lost. Nothing may be queued before the queues are cleared.
        """
        self.app.consumer.stop_flow()
        await super().on_recovery_completed(generation_id)


def restored(app: faust.App) -> dict[Any, int | None]:
    """How far an app's tables have been restored from their changelogs: the last offset by partition."""
    manager: Any = app.tables
    return dict(manager.recovery.active_offsets)


class SafeTableManager(TableManager):
    """A table manager with the recovery above."""

    async def on_start(self) -> None:
        """Start at once. Faust first waits a second for tables to be declared; ours are declared before the app starts."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """The one recovery service of the app."""
        if self._recovery is None:
            self._recovery = SafeRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
