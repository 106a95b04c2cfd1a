"""The commands that broke the engine and were undone, as persisted by the projection."""

from store.session.connect import Session


async def read_failed_commands(session: Session, market_id: int) -> set[int]:
    """Sequences of a market's commands whose event is `command.failed`."""
    rows = await session.fetch("SELECT command_seq FROM failed_commands WHERE market_id = $1", market_id)
    return {row["command_seq"] for row in rows}
