from pathlib import Path
from xml.etree import ElementTree

import msgspec

from bench.picture import latency_against_load
from bench.report import BEGIN, END, Run, run_of, write_run
from bench.result import Bar, LoadPoint, Outcome, alone, compared, percentile, spread

POINTS = [LoadPoint(rate, rate, 5.0, 8.0, 20.0, 1.0) for rate in (10.0, 100.0, 800.0)]


def _run() -> Run:
    rows = [
        compared("P1", "acceptance", "orders/s", [10.0, 30.0], ("bare", [20.0, 40.0]), Bar(0.6)),
        alone("P7", "weight", "bytes", [220.0], Bar(360, is_floor=False, unit="bytes")),
    ]
    return run_of("tiny", "today", 1.0, {"python": "3.11"}, [Outcome(rows, POINTS, ["a note"])])


def test_the_middle_of_the_ratios_is_judged_not_the_ratio_of_the_middles() -> None:
    """Ours and its yardstick belong to the same round."""
    first, second = _run().rows
    assert first.ratio == spread([0.5, 0.75])
    assert (first.is_met, second.is_met) == (True, True)
    assert str(Bar(50, is_floor=False, unit="ms")) == "<= 50 ms"


def test_a_percentile_is_one_of_the_values() -> None:
    """Nearest rank; nothing is made up between two."""
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([], 0.5) == 0.0


def test_the_table_replaces_itself_and_leaves_the_prose(tmp_path: Path) -> None:
    """Text outside the marks is written by hand and stays."""
    page = tmp_path / "performance.md"
    page.write_text(f"# Title\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    write_run(_run(), tmp_path)
    write_run(_run(), tmp_path)
    text = page.read_text()
    assert text.startswith("# Title\n\nbefore\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    assert text.count("| P1 | acceptance |") == 1
    assert msgspec.json.decode((tmp_path / "performance.json").read_bytes(), type=Run) == _run()


def test_the_picture_is_an_image_with_a_line_for_each_percentile() -> None:
    """Three percentiles, three points each."""
    image = ElementTree.fromstring(latency_against_load(POINTS))  # noqa: S314 - our own words
    lines = image.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 3, 3]
    assert latency_against_load([]) == ""
