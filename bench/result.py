"""The result of a measure: ours compared with a yardstick of the same run, and the ratio of the two, round by round."""

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The least, the middle and the greatest of several rounds."""

    min: float
    median: float
    max: float


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the table. `ratio` is what the bar judges; without a yardstick it is None and `ours` is judged.

    `bar` is the bound of docs/bars.md in words, `is_met` whether the median keeps it; None where nothing is asked.
    """

    measure: str
    what: str
    unit: str
    ours: Spread
    yardstick_name: str = ""
    yardstick: Spread | None = None
    ratio: Spread | None = None
    bar: str = ""
    is_met: bool | None = None


class LoadPoint(msgspec.Struct, frozen=True, rename="camel"):
    """Latency at one offered rate: milliseconds from the intended send time until the fill is visible.

    `unanswered`: orders that were refused, or whose fill did not come. `late_p99_ms`: how late the generator itself was.
    """

    offered_per_s: float
    completed_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    late_p99_ms: float
    unanswered: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """The rows of one measure, the points of its picture, and its notes."""

    rows: list[Row]
    points: list[LoadPoint] = []
    notes: list[str] = []


class Bar(msgspec.Struct, frozen=True):
    """A bound on the judged number: at least or at most `value`."""

    value: float
    is_floor: bool = True
    unit: str = ""

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {self.value:g}{f' {self.unit}' if self.unit else ''}"

    def holds(self, measured: float) -> bool:
        """Whether a measured number keeps it."""
        return measured >= self.value if self.is_floor else measured <= self.value


def spread(values: Sequence[float]) -> Spread:
    """Least, middle and greatest."""
    return Spread(min(values), statistics.median(values), max(values))


def compared(  # noqa: PLR0917 - in the order of the columns of the table
    measure: str,
    what: str,
    unit: str,
    ours: Sequence[float],
    baseline: tuple[str, Sequence[float]],
    bar: Bar | None = None,
) -> Row:
    """A row that is judged by ours / yardstick, both of the same round."""
    name, yardstick = baseline
    ratio = spread([mine / other for mine, other in zip(ours, yardstick, strict=True)])
    is_met = None if bar is None else bar.holds(ratio.median)
    return Row(measure, what, unit, spread(ours), name, spread(yardstick), ratio, str(bar or ""), is_met)


def alone(measure: str, what: str, unit: str, ours: Sequence[float], bar: Bar | None = None) -> Row:
    """A row without a yardstick, judged alone."""
    middle = spread(ours)
    return Row(
        measure, what, unit, middle, bar=str(bar or ""), is_met=None if bar is None else bar.holds(middle.median)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank); 0 when there is none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
