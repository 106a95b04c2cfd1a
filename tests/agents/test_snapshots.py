"""How often a market's snapshot is taken."""

import pytest

from agents.matching.snapshot_writer import snapshot_pause_after


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.01, 0.5), (1, 50), (25, 60), (120, 60)])
def test_a_snapshot_that_waited_for_the_broker_is_followed_by_another_soon(took_s: float, pause_s: float) -> None:
    """Two percent of the time; but an outage of two minutes must not leave the market without one for hours."""
    assert snapshot_pause_after(took_s) == pause_s
