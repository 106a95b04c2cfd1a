"""The crash day is played again, through submission, liquidator and projection, and everybody asks for everything."""

from pathlib import Path

from tests.recorded.cases import crash_days, read_results
from tests.recorded.day import first_difference, play_day


async def test_the_crash_day_comes_to_the_same_commands_and_answers(database: str, tmp_path: Path) -> None:
    """Each command in the outbox of each market, and each answer of the REST API, byte by byte."""
    played = await play_day(database, tmp_path)
    for case in crash_days():
        now = played.commands[case.market]
        for seq, (recorded, body) in enumerate(zip(case.commands, now, strict=False), 1):
            assert body == recorded, (
                f"{case.name}: command {seq} was\n  {recorded.decode()}\nand is now\n  {body.decode()}"
            )
        assert len(now) == len(list(case.commands)), f"{case.name}: it has another number of commands"
    difference = first_difference(read_results("answers"), played.answers)
    assert difference is None, difference
