"""The recorded logs: where their commands come from, where their results are kept, and how both are compared."""

import json
import lzma
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.recorded.course import Course, fails
from tests.recorded.door import Results, play

DATA = Path(__file__).with_name("data")
STORIES, CRASH_DAY, FORCED = DATA / "stories.jsonl", DATA / "crash_day.jsonl.xz", DATA / "forced.jsonl"
LIFE = Course("LIFE-PERP", 20_270_115, 6_000)
SOAK = Course("SOAK-PERP", 20_270_116, 100_000)
NEXT = Course("NEXT-PERP", 20_270_117, 6_000, rules=2)
LATE = Course("LATE-PERP", 20_270_118, 6_000, rules=3)
"""Markets that their 20th command moves to rules 2 and 3; the others stay with the first."""
COURSES = (LIFE, SOAK, NEXT, LATE)
STEP = 1_000

Lines = dict[str, list[bytes]]


class _Failing(Container[int]):
    """The commands of a course that were answered with their failure."""

    def __contains__(self, seq: object) -> bool:
        return isinstance(seq, int) and fails(seq)


FAILING = _Failing()


@dataclass(frozen=True)
class Case:
    """A log: its market, its commands as wire bytes, after how many of them the results are recorded."""

    name: str
    market: str
    commands: Iterable[bytes]
    every: int
    failed: Container[int] = ()

    def play(self) -> Iterator[Results]:
        """What is to be recorded."""
        return (result for result, _ in play(self.market, self.commands, self.every, self.failed))

    def first_difference(self, recorded: Iterable[Results]) -> str | None:
        """Case, command and field of the first difference to what was recorded; None where there is none."""
        expected = iter(recorded)
        for now, played in play(self.market, self.commands, self.every, self.failed):
            before = next(expected, None)
            if before is None:
                return f"{self.name}: commands up to {now['commandSeq']} were not recorded"
            if now != before:
                return f"{self.name}, {_difference(before, now, played)}"
        rest = next(expected, None)
        return None if rest is None else f"{self.name}: the log ends before command {rest['commandSeq']}"


def stories() -> Iterator[Case]:
    """Every story of tests/exchange/stories, with results after every step."""
    return (Case(f"story {name}", "TEA-PERP", lines, 1) for name, lines in read_lines(STORIES.read_bytes()).items())


def crash_days() -> Iterator[Case]:
    """The crash day, by market."""
    lines = read_lines(lzma.decompress(CRASH_DAY.read_bytes()))
    return (Case(f"crash day {market}", market, commands, 500) for market, commands in lines.items())


def course_case(course: Course) -> Case:
    """The log of a generated course, its gaps filled as recorded."""
    forced = read_forced(course.market)
    return Case(course.market, course.market, _Again(course, forced), STEP, FAILING)


@dataclass(frozen=True)
class _Again:
    """The commands of a course, made afresh by every iteration."""

    course: Course
    forced: Mapping[int, bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self.course.again().commands(self.forced)


def results_file(name: str) -> Path:
    """Where the results of cases of this kind are kept."""
    return DATA / f"{name}.figures.json"


def read_results(name: str) -> Any:
    """What was recorded."""
    return json.loads(results_file(name).read_bytes())


def write_json(path: Path, content: Any) -> None:
    """A file that changes by the line."""
    path.write_text(json.dumps(content, indent=0, ensure_ascii=False) + "\n")


def read_lines(content: bytes) -> Lines:
    """Lines of `name<TAB>wire bytes`, by name."""
    lines: Lines = {}
    for line in content.splitlines():
        name, _, body = line.partition(b"\t")
        lines.setdefault(name.decode(), []).append(body)
    return lines


def lines_of(bodies: Mapping[str, Iterable[bytes]]) -> bytes:
    """The other way round."""
    return b"".join(b"%s\t%s\n" % (name.encode(), body) for name, several in bodies.items() for body in several)


def read_forced(market: str) -> dict[int, bytes]:
    """Forced commands of a market, by their place in its log."""
    of_market = ([*name.split(), body] for name, bodies in read_lines(FORCED.read_bytes()).items() for body in bodies)
    return {int(seq): body for name, seq, body in of_market if name == market}


def _difference(before: Results, now: Results, played: list[tuple[bytes, list[bytes]]]) -> str:
    first = now["commandSeq"] - len(played) + 1
    fields = [name for name in now if now[name] != before.get(name)]
    for place, (body, events) in enumerate(played):
        at = slice(2 * place, 2 * place + 2)
        if now["chain"][at] != before["chain"][at]:
            shown = b"\n  ".join(events).decode()
            return f"command {first + place}: its events differ ({', '.join(fields)})\n  {body.decode()}\nnow leads to\n  {shown}"
    return f"commands {first} to {now['commandSeq']}: {fields[0]} differs ({', '.join(fields)})"
