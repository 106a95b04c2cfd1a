"""The picture of latency against load: plain SVG, both axes logarithmic, one line for each percentile."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from bench.result import LoadPoint

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 40, 56
COLOUR = "#1f5fbf"
DASHES = {"p50": "", "p90": "6 4", "p99": "2 3"}


def latency_against_load(points: Sequence[LoadPoint]) -> str:
    """An SVG document; empty when there is nothing to draw."""
    if not points:
        return ""
    rates = [point.offered_per_s for point in points]
    highest = max(point.p99_ms for point in points)
    lowest = min(point.p50_ms for point in points)
    across = _Axis(_decade_below(min(rates)), _decade_above(max(rates)), LEFT, WIDTH - RIGHT)
    up = _Axis(_decade_below(max(lowest, 0.1)), _decade_above(max(highest, 1.0)), HEIGHT - BOTTOM, TOP)
    body = [*_frame(across, up), *_lines(points, across, up), *_legend()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *body, "</svg>\n"])


class _Axis:
    """A logarithmic axis between two places of the picture."""

    def __init__(self, least: float, most: float, start: float, stop: float) -> None:
        self.least, self.most = least, most
        self._start, self._stop = start, stop

    def place(self, value: float) -> float:
        """The position of a value."""
        share = math.log(max(value, self.least) / self.least) / math.log(self.most / self.least)
        return self._start + share * (self._stop - self._start)

    def ticks(self) -> Iterable[float]:
        """1, 2 and 5 of every decade."""
        decade = self.least
        while decade <= self.most:
            yield from (step * decade for step in (1, 2, 5) if step * decade <= self.most)
            decade *= 10


def _frame(across: _Axis, up: _Axis) -> Iterable[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick in across.ticks():
        x = across.place(tick)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#e5e5e5"/>'
        yield _text(x, bottom + 18, f"{tick:g}", "middle")
    for tick in up.ticks():
        y = up.place(tick)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e5e5e5"/>'
        yield _text(LEFT - 8, y + 4, f"{tick:g}", "end")
    yield _text((LEFT + right) / 2, HEIGHT - 14, "offered orders per second", "middle")
    yield _text(LEFT, TOP - 16, "milliseconds from the intended send time to the own fill in GET /fills", "start")


def _lines(points: Sequence[LoadPoint], across: _Axis, up: _Axis) -> Iterable[str]:
    ordered = sorted(points, key=lambda point: point.offered_per_s)
    for name, dash in DASHES.items():
        places = [(across.place(p.offered_per_s), up.place(getattr(p, f"{name}_ms"))) for p in ordered]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        style = f'fill="none" stroke="{COLOUR}" stroke-width="2" stroke-dasharray="{dash}"'
        yield f'<polyline points="{path}" {style}/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOUR}"/>' for x, y in places)


def _legend() -> Iterable[str]:
    x, y = WIDTH - RIGHT + 16, TOP + 10
    for name, dash in DASHES.items():
        style = f'stroke="{COLOUR}" stroke-width="2" stroke-dasharray="{dash}"'
        yield f'<line x1="{x}" y1="{y - 4}" x2="{x + 28}" y2="{y - 4}" {style}/>'
        yield _text(x + 34, y, name, "start")
        y += 20


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333333">{escape(words)}</text>'


def _decade_below(value: float) -> float:
    return float(10 ** math.floor(math.log10(value)))


def _decade_above(value: float) -> float:
    return float(10 ** max(math.ceil(math.log10(value)), math.floor(math.log10(value)) + 1))
