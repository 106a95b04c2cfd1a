"""Every recorded log gives the same results as always, byte by byte (the docstring of the package says when not)."""

from collections import Counter

import orjson
import pytest

from tests.exchange.story import FOLDER
from tests.recorded.cases import COURSES, LATE, LIFE, Case, course_case, crash_days, read_results, stories
from tests.recorded.course import Course

EVERY_KIND = {
    *("market.listed", "order.created", "order.cancelled", "price_sources.set", "price.reported", "index.set"),
    *("market.status_set", "rules.set", "market.barrier", "clock.ticked"),
    *("liquidation.ordered", "take_over.ordered", "deleveraging.ordered"),
}


def check(case: Case, recorded: list[dict[str, object]]) -> None:
    """Fail with the first difference."""
    difference = case.first_difference(recorded)
    assert difference is None, difference


def test_every_story_is_recorded() -> None:
    """A new story is recorded too: `python -m tests.recorded stories`, which must change no other."""
    assert {case.name for case in stories()} == {f"story {path.stem}" for path in FOLDER.glob("*.txt")}
    assert set(read_results("stories")) == {case.name for case in stories()}


@pytest.mark.parametrize("case", list(stories()), ids=lambda case: case.name)
def test_a_story_leads_to_the_same_bytes(case: Case) -> None:
    """Events, records, hashes, fills and snapshot after each of its commands."""
    check(case, read_results("stories")[case.name])


@pytest.mark.parametrize("case", list(crash_days()), ids=lambda case: case.name)
def test_the_log_of_the_crash_day_leads_to_the_same_bytes(case: Case) -> None:
    """The same, after every 500 commands of each market."""
    check(case, read_results("crash_day")[case.name])


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.market)
def test_the_soak_stream_leads_to_the_same_bytes(course: Course) -> None:
    """The same, after every 1,000 of 6,000 and of 100,000 commands: a market from its listing to its settlement,
    by the first rules, by rules 2 and by rules 3."""
    check(course_case(course), read_results(course.market))


def test_the_short_course_holds_every_kind_of_command() -> None:
    """And enough of each kind; the soak stream is the same at length."""
    kinds = Counter(orjson.loads(body)["type"] for body in course_case(LIFE).commands)
    assert set(kinds) == EVERY_KIND
    once = {"market.listed", "rules.set"}
    assert all(count >= 4 for kind, count in kinds.items() if kind not in once), kinds
    newer = Counter(orjson.loads(body)["type"] for body in course_case(LATE).commands)
    assert set(newer) == EVERY_KIND - {"price.reported"} | {"prices.reported"}
    assert newer["prices.reported"] >= 4


def test_a_difference_is_named() -> None:
    """One byte of the chain at command 700, one snapshot at command 2,000: each is found at its place."""
    case, recorded = course_case(LIFE), read_results(LIFE.market)
    chain = recorded[0]["chain"]
    changed = [{**recorded[0], "chain": chain[:1398] + "zz" + chain[1400:]}, *recorded[1:]]
    assert "LIFE-PERP, command 700: its events differ (chain)" in (case.first_difference(changed) or "")
    changed = [recorded[0], {**recorded[1], "snapshot": "another"}, *recorded[2:]]
    assert case.first_difference(changed) == "LIFE-PERP, commands 1001 to 2000: snapshot differs (snapshot)"
    assert case.first_difference(recorded[:3]) == "LIFE-PERP: commands up to 4000 were not recorded"
    assert case.first_difference([*recorded, {"commandSeq": 7_000}]) == "LIFE-PERP: the log ends before command 7000"
