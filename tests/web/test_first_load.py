"""The first look at each page, with nothing cached: what it loads, when something is seen, and that nothing moves afterwards."""

from itertools import product

import pytest
from playwright.sync_api import expect

from tests.system.conftest import Measured, measured  # noqa: F401 - a fixture
from tests.web.conftest import Open

LOAD_MAX = 300_000
SHIFT_MAX = 0.05
"""Of Chromium's layout-shift score, which calls 0.1 good."""
SETTLED_MS = 1_000
LOADS = [
    ("/trade/BTC-PERP", 1_440),
    *(
        pytest.param(path, width, marks=pytest.mark.chaos)
        for path, width in [("/trade/BTC-PERP", 390), *product(("/account", "/operate"), (1_440, 390))]
    ),
]
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SHIFTED = """new Promise((resolve) => {
  let total = 0;
  new PerformanceObserver((list) => { for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) total += value; })
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(total), 100);
})"""


@pytest.mark.parametrize(("path", "width"), LOADS)
def test_the_first_load_is_small_and_nothing_moves(open_page: Open, path: str, width: int, measured: Measured) -> None:  # noqa: F811
    """At most 300 KB arrive, of this server alone; the first contentful paint is reported; nothing shifts once it is drawn."""
    page = open_page("/asyncapi.json").page  # the context, before the page is opened in it
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    arrived: list[float] = []
    session.on("Network.loadingFinished", lambda event: arrived.append(event["encodedDataLength"]))
    page.goto(path)
    expect(page.get_by_role("button", name="Register")).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    measured(f"{path} at {width}: KB", round(sum(arrived) / 1_000))
    measured(f"{path} at {width}: first contentful paint, ms", round(page.evaluate(PAINTED)))
    shifted = page.evaluate(SHIFTED)
    measured(f"{path} at {width}: layout shift", round(shifted, 4))
    assert 0 < sum(arrived) <= LOAD_MAX
    assert shifted <= SHIFT_MAX
