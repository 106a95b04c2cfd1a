"""Where the numbers go: a table between two marks of a Markdown file, the same as JSON, and the picture.

A full run of every measure writes into docs/; any other run into .local/bench/, so that docs never mixes runs.
"""

from pathlib import Path
from typing import Any

import msgspec

from bench.load.job import ROOT
from bench.picture import latency_against_load
from bench.result import LoadPoint, Outcome, Row, Spread

BEGIN = "<!-- bench: begin; written by `make bench` and by nothing else -->"
END = "<!-- bench: end -->"
NAME = "performance"
PICTURE = "latency.svg"
IS_MET = {True: "yes", False: "**no**", None: ""}


class Run(msgspec.Struct, frozen=True, rename="camel"):
    """Everything one run measured, and on what."""

    size: str
    at: str
    seconds: float
    machine: dict[str, str]
    rows: list[Row]
    points: list[LoadPoint]
    notes: list[str]
    extra: dict[str, Any] = {}


def run_of(size: str, at: str, seconds: float, machine: dict[str, str], outcomes: list[Outcome], **extra: Any) -> Run:
    """The outcomes of all measures as one run."""
    return Run(
        size=size,
        at=at,
        seconds=round(seconds, 1),
        machine=machine,
        rows=[row for outcome in outcomes for row in outcome.rows],
        points=[point for outcome in outcomes for point in outcome.points],
        notes=[note for outcome in outcomes for note in outcome.notes],
        extra=extra,
    )


def write_run(run: Run, folder: Path, name: str = NAME) -> None:
    """The table, the JSON and, where latency was measured, the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    page = folder / f"{name}.md"
    page.write_text(_between_marks(page.read_text() if page.exists() else "", markdown(run)))
    if run.points:
        (folder / PICTURE).write_text(latency_against_load(run.points))


def folder_for(*, is_complete: bool) -> Path:
    """docs/ for a full run of everything, else a folder that is not tracked."""
    return ROOT / "docs" if is_complete else ROOT / ".local" / "bench"


def markdown(run: Run) -> str:
    """The text between the marks."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    lines = [
        f"Size {run.size}, {run.at}, {run.seconds:.0f} s. Least / median / greatest of the rounds.",
        "",
        machine,
        "",
    ]
    lines += ["| | what | ours | yardstick | ratio | bar | met |", "|---|---|---|---|---|---|---|"]
    lines += [_line(row) for row in run.rows]
    if run.points:
        lines += ["", f"![Latency against load]({PICTURE})", "", *_point_table(run.points)]
    return "\n".join([*lines, "", *(f"- {note}" for note in run.notes)])


def _line(row: Row) -> str:
    baseline = "" if row.yardstick is None else f"{row.yardstick_name}: {_three(row.yardstick)}"
    ratio = "" if row.ratio is None else _three(row.ratio)
    cells = (row.measure, row.what, f"{_three(row.ours)} {row.unit}", baseline, ratio, row.bar, IS_MET[row.is_met])
    return f"| {' | '.join(cells)} |"


def _point_table(points: list[LoadPoint]) -> list[str]:
    lines = [
        "| offered/s | filled/s | p50 ms | p90 ms | p99 ms | generator late p99 ms | without fill |",
        "|---|---|---|---|---|---|---|",
    ]
    for p in points:
        cells = (p.offered_per_s, p.completed_per_s, p.p50_ms, p.p90_ms, p.p99_ms, p.late_p99_ms, p.unanswered)
        lines.append(f"| {' | '.join(map(_figure, cells))} |")
    return lines


def _three(values: Spread) -> str:
    if values.min == values.max:
        return _figure(values.median)
    return " / ".join(map(_figure, (values.min, values.median, values.max)))


def _figure(value: float) -> str:
    """A number with three significant digits."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _between_marks(page: str, table: str) -> str:
    block = f"{BEGIN}\n{table}\n{END}"
    if BEGIN in page and END in page:
        return page[: page.index(BEGIN)] + block + page[page.index(END) + len(END) :]
    return f"{page.rstrip()}\n\n{block}\n" if page.strip() else f"{block}\n"
