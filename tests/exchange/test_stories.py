"""Every story in tests/exchange/stories is played, and must read as it was written."""

from pathlib import Path

import pytest

from exchange.engine.engine import apply
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import empty_market
from tests.exchange.story import FOLDER, retell

STORIES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_engine_plays_the_story_as_written(path: Path) -> None:
    """Each step has the effects written below it, and the book and the positions end as drawn."""
    text = path.read_text()
    assert retell(text)[0] == text


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story_played_again_ends_in_the_same_state(path: Path) -> None:
    """The log alone decides."""
    driver = retell(path.read_text())[1]
    market = empty_market("TEA-PERP")
    events = [event for seq, command in enumerate(driver.log, 1) for event in apply(market, seq, command)]
    assert events == driver.events
    assert dump(market) == dump(driver.market)


def test_there_are_stories() -> None:
    """An empty folder would prove nothing."""
    assert len(STORIES) >= 55
