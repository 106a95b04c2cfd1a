"""The page open for a long time next to the demo: its memory stays, and it misses nothing."""

import time
from decimal import Decimal

import pytest
from playwright.sync_api import CDPSession, expect

from tests.system.conftest import FULL, Measured, measured  # noqa: F401 - a fixture
from tests.web.comparison import same_market
from tests.web.conftest import Open
from tests.web.test_trade_cuts import EXPECTED

WARM_S = 120
MIB = 1_048_576
GROWTH_MAX = 8 * MIB
ELEMENTS_MORE_MAX = 700
"""The lists of trades, levels and fills fill up meanwhile."""


def _heap(session: CDPSession) -> int:
    """Bytes that are reachable."""
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


@pytest.mark.parametrize("minutes", [pytest.param(20, marks=FULL)])
def test_the_open_page_stays_small_and_misses_nothing(open_page: Open, minutes: int, measured: Measured) -> None:  # noqa: F811
    """Every minute book and trades are those of REST; every checksum agrees, and the heap does not grow after two minutes."""
    screen = open_page("/trade/BTC-PERP")
    page = screen.page
    screen.register()
    screen.deposit("10000")
    page.get_by_role("group", name="Type").get_by_role("button", name="Market").click()
    page.get_by_label("Quantity", exact=True).fill("0.01")
    page.get_by_role("button", name="Buy BTC").click()
    expect(page.get_by_role("tab", name="Positions (1)")).to_be_visible()
    session = page.context.new_cdp_session(page)
    page.wait_for_timeout(WARM_S * 1_000)
    before, began = _heap(session), time.monotonic()
    nodes = page.evaluate("document.querySelectorAll('*').length")
    while time.monotonic() - began < minutes * 60 - WARM_S:
        page.wait_for_timeout(60_000)
        same_market(screen)
        assert page.locator("[data-state]").get_attribute("data-state") in {"live", "stale", "reconnecting"}
    after, nodes_after = _heap(session), page.evaluate("document.querySelectorAll('*').length")
    measured("heap after two minutes, KiB", before // 1_024)
    measured("heap at the end, KiB", after // 1_024)
    measured("elements after two minutes", nodes)
    measured("elements at the end", nodes_after)
    book = page.get_by_role("region", name="Order book")
    good = int(book.get_attribute("data-good") or 0)
    measured("checksums that agreed", good)
    assert (book.get_attribute("data-bad"), book.get_attribute("data-gaps")) == ("0", "0")
    assert good > 1
    (position,) = screen.get("/positions")
    assert Decimal(position["quantity"]) == Decimal("0.01")
    assert after - before <= GROWTH_MAX
    assert nodes_after - nodes <= ELEMENTS_MORE_MAX
    screen.problems[:] = [problem for problem in screen.problems if not any(known in problem for known in EXPECTED)]
