"""The pages of the API and of errors: same look, accessible, usable on a phone."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Open

SIZES = [(1_440, 900, "dark"), (390, 844, "light")]


@pytest.mark.parametrize(("width", "height", "theme"), SIZES)
@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
def test_the_documents_are_accessible_and_fit(open_page: Open, path: str, width: int, height: int, theme: str) -> None:
    """Without serious findings of axe; nothing is wider than the screen; the links to the other pages are there."""
    screen = open_page(path, width, height, theme)
    page = screen.page
    expect(page.get_by_role("heading").nth(1)).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Trade")).to_be_visible()
    assert not screen.serious_faults()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_unknown_address_shows_a_page(open_page: Open) -> None:
    """In words, with the code, the id of the request and a way back."""
    screen = open_page("/no/such/page", 390, 844)
    page = screen.page
    expect(page.get_by_role("heading", level=1)).to_have_text("there is nothing at this path")
    expect(page.get_by_text("NOT_FOUND", exact=True)).to_be_visible()
    assert not screen.serious_faults()
    page.get_by_role("link", name="Go to the trading page").click()
    expect(page.get_by_role("region", name="Chart")).to_be_visible()
    screen.problems[:] = [problem for problem in screen.problems if "404" not in problem]  # of the page itself
