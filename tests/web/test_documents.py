"""The pages of the API and of errors: same look, accessible, usable on a phone."""

from itertools import product
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Open
from tests.web.screen import LOOKS, Screen

SHORT = {("/docs", 390, "light"), ("/docs/events", 1_440, "dark")}
"""In the default run: the document of REST alone takes five seconds."""


def _documents() -> list[Any]:
    every = product(("/docs", "/docs/events"), (1_440, 390), ("dark", "light"))
    return [each if each in SHORT else pytest.param(*each, marks=pytest.mark.chaos) for each in every]


@pytest.mark.parametrize(("path", "width", "theme"), _documents())
def test_the_documents_are_accessible_and_fit(open_page: Open, path: str, width: int, theme: str) -> None:
    """Without serious findings of axe; nothing is wider than the screen; the links to the other pages are there."""
    screen = open_page(path, width, theme)
    page = screen.page
    expect(page.get_by_role("heading").nth(1)).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Trade")).to_be_visible()
    _is_fine(screen)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_an_unknown_address_shows_a_page(open_page: Open, width: int, theme: str) -> None:
    """In words, with the code, the id of the request and a way back."""
    screen = open_page("/no/such/page", width, theme)
    page = screen.page
    expect(page.get_by_role("heading", level=1)).to_have_text("there is nothing at this path")
    expect(page.get_by_text("NOT_FOUND", exact=True)).to_be_visible()
    _is_fine(screen)
    screen.expect_refused(404)  # of the page itself
    page.get_by_role("link", name="Go to the trading page").click()
    expect(page.get_by_role("region", name="Chart")).to_be_visible()


def _is_fine(screen: Screen) -> None:
    assert not screen.serious_faults()
    assert screen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
