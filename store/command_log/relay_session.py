"""A relay's session: it is notified of new commands, and writes its cursor without waiting for the disk."""

from collections.abc import Callable

from store.command_log.commands import CHANNEL
from store.session.connect import Connection


async def prepare_relay_session(session: Connection, on_command: Callable[[str], None]) -> None:
    """Call `on_command` with a market's name whenever commands for it are committed.

    A crash of the server can lose recent cursor updates: those commands are sent twice, and dropped by sequence.
    """
    await session.execute("SET synchronous_commit = off")
    await session.add_listener(CHANNEL, lambda _session, _pid, _channel, market: on_command(str(market)))
