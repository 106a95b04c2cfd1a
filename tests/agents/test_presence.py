"""A running process is listed, even after the session that lists it is lost."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

import agents.worker.fail_stop
from agents.worker.fail_stop import EXIT_WRONG
from agents.worker.membership.take_over import TakeOver
from agents.worker.presence import present, seen
from agents.worker.settings import StreamSettings
from store.session.connect import Session
from store.session.presence import read_processes
from tests.eventually import eventually
from tests.store.account_builder import session_to

_CUT = """SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'shown %'"""  # returns when they are gone
Show = Callable[[str, Path], AbstractAsyncContextManager[None]]


def as_a_worker(dsn: str, folder: Path) -> AbstractAsyncContextManager[None]:
    """As engines, relays and all others that work on the logs."""
    settings = StreamSettings(dsn=dsn, bootstrap="127.0.0.1:1", datadir=folder)
    return present("shown", settings)


def as_no_worker(dsn: str, _: Path) -> AbstractAsyncContextManager[None]:
    """As an API, `prices` and the demo."""
    return seen("shown", dsn, "")


@pytest.mark.parametrize("show", [as_a_worker, as_no_worker])
async def test_a_process_whose_session_was_cut_shows_itself_again(database: str, tmp_path: Path, show: Show) -> None:
    """PostgreSQL ends every session when it restarts; a process that outlives that is in the list again, once."""
    async with session_to(database) as session, show(database, tmp_path):
        await eventually(lambda: _is_shown(session))
        for _ in range(2):
            assert await session.fetchval(_CUT) == 1
            await eventually(lambda: _is_shown(session))


async def test_a_process_that_can_no_longer_show_itself_ends(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours in its presence: unseen, its members would be removed again and again, and no standby would know of it."""
    codes: list[int] = []

    async def fail(_: TakeOver, __: Session) -> float:
        raise AttributeError("a bug of ours")

    def end(code: int = 0) -> None:
        codes.append(code)

    monkeypatch.setattr(agents.worker.fail_stop, "end_at_once", end)
    monkeypatch.setattr(TakeOver, "step", fail)
    async with as_a_worker(database, tmp_path):
        await eventually(lambda: codes == [EXIT_WRONG])


async def _is_shown(session: Session) -> bool:
    return [running.name.kind for running in await read_processes(session)] == ["shown"]
