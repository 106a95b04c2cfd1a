"""Hearing of the commands that others append."""

from schemas.commands import PassBarrier
from store.command_log.announcements import Announcements
from store.command_log.commands import append_command
from store.session.connect import Session
from tests.store.account_builder import NOW, session_to

LONG_S = 60.0
BTC = "BTC-PERP"


async def _append(session: Session) -> None:
    await append_command(session, BTC, PassBarrier(NOW, "b"))


async def test_a_command_of_another_session_is_heard_once(database: str) -> None:
    """Also one that came before the wait; several make one. The own ones are known."""
    async with session_to(database) as session, session_to(database) as other:
        announcements = Announcements(session)
        assert await announcements.listen()
        await _append(other)
        await _append(other)
        await session.fetchval("SELECT 1")  # both notifications have come with the answer
        assert await announcements.wait(LONG_S)
        await _append(session)
        assert not await announcements.wait(0.0)


async def test_nothing_is_heard_before_and_after_listening(database: str) -> None:
    """A session that begins to listen knows it: what came before is found by a look alone."""
    async with session_to(database) as session, session_to(database) as other:
        announcements = Announcements(session)
        await _append(other)
        assert [await announcements.listen(), await announcements.listen()] == [True, False]
        assert await session.fetch("SELECT pg_listening_channels()")
        assert not await announcements.wait(0.0)
        await _append(other)
        await announcements.ignore()
        assert not await session.fetch("SELECT pg_listening_channels()")
        assert await announcements.listen()
        assert not await announcements.wait(0.0)
