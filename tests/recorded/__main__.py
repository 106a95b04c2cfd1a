"""`python -m tests.recorded`: record everything again. When one may: see the docstring of the package.

`python -m tests.recorded stories` records the stories alone, which is all that a new story needs.
"""

import asyncio
import logging
import lzma
import sys
import tempfile
from pathlib import Path

import asyncpg

from app.local.postgres import EmbeddedPostgres
from schemas.wire import encode
from store.markets.registry import seed
from store.schema.migrate import migrate
from tests.conftest import STARTED_AT
from tests.exchange.story import FOLDER, retell
from tests.recorded import cases
from tests.recorded.course import Course, Gap
from tests.recorded.day import Played, play_day
from tests.recorded.door import Player
from tests.recorded.forced import Positions
from tests.store.stepped_clock import WITHOUT_CLOCK


def main() -> None:
    """The inputs first, then their results."""
    logging.disable(logging.WARNING)  # three hundred liquidations
    cases.DATA.mkdir(exist_ok=True)
    _record_stories()
    if sys.argv[1:] != ["stories"]:
        _record_the_rest()
    for path in sorted(cases.DATA.iterdir()):
        sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes\n")


def _record_stories() -> None:
    cases.STORIES.write_bytes(cases.lines_of(dict(_stories())))
    cases.write_json(cases.results_file("stories"), {case.name: list(case.play()) for case in cases.stories()})


def _record_the_rest() -> None:
    played = asyncio.run(_crash_day())
    cases.CRASH_DAY.write_bytes(lzma.compress(cases.lines_of(played.commands), preset=9))
    cases.write_json(cases.results_file("answers"), played.answers)
    forced = {}
    for course in cases.COURSES:
        forced |= _forced(course)
    cases.FORCED.write_bytes(cases.lines_of(forced))
    cases.write_json(cases.results_file("crash_day"), {case.name: list(case.play()) for case in cases.crash_days()})
    for course in cases.COURSES:
        cases.write_json(cases.results_file(course.market), list(cases.course_case(course).play()))


def _stories() -> list[tuple[str, list[bytes]]]:
    return [
        (path.stem, [encode(command) for command in retell(path.read_text())[1].log])
        for path in sorted(FOLDER.glob("*.txt"))
    ]


def _forced(course: Course) -> dict[str, list[bytes]]:
    """The course is played once, so that its forced commands name positions as they are."""
    positions = Positions()
    player = Player(course.market, cases.FAILING, positions.follow)
    filled = {}
    for seq, step in enumerate(course.again().steps(), 1):
        body = positions.fill(step) if isinstance(step, Gap) else step
        if isinstance(step, Gap):
            filled[f"{course.market} {seq}"] = [body]
        player.take(body)
    return filled


async def _execute(dsn: str, statement: str) -> None:
    session = await asyncpg.connect(dsn)
    await session.execute(statement)
    await session.close()


async def _crash_day() -> Played:
    with tempfile.TemporaryDirectory(prefix="perpetua-recorded-") as folder:
        server = EmbeddedPostgres(Path(folder) / "data", is_durable=False)
        dsn = await server.start()
        try:
            await asyncio.to_thread(migrate, dsn)
            await _execute(dsn, WITHOUT_CLOCK)
            await seed(dsn, STARTED_AT)
            return await play_day(dsn, Path(folder))
        finally:
            await server.stop()


if __name__ == "__main__":
    main()
