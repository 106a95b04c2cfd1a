"""The open pages while parts of the exchange stop and die: they say so, go on by themselves, and show what REST says."""

import os
import re
import signal

from playwright.sync_api import Route, expect

from bench.exchange_process import ExchangeProcess
from tests.web.comparison import shows_what_rest_says, state_of
from tests.web.conftest import Open
from tests.web.console import Console, row, token_of
from tests.web.screen import Screen

EXPECTED = ("net::ERR", "WebSocket connection", "503", "by-client-id")
"""What a browser itself writes to the console when a server is down."""


def _order(screen: Screen, kind: str, quantity: str, price: str = "") -> None:
    page = screen.page
    page.get_by_role("group", name="Type").get_by_role("button", name=kind).click()
    if price:
        page.get_by_label("Price", exact=True).fill(price)
    page.get_by_label("Quantity", exact=True).fill(quantity)
    page.get_by_role("button", name="Buy BTC").click()


def _trading(open_page: Open) -> Screen:
    """The trading page of an account that holds a position and has a bid in the book."""
    screen = open_page("/trade/BTC-PERP")
    screen.register()
    screen.deposit("10000")
    _order(screen, "Market", "0.01")
    expect(screen.page.get_by_role("tab", name="Positions (1)")).to_be_visible()
    _order(screen, "Limit", "0.01", "57000")
    expect(screen.page.get_by_role("tab", name="Open orders (1)")).to_be_visible()
    return screen


def _forget_the_outage(*screens: Screen) -> None:
    for screen in screens:
        screen.problems[:] = [text for text in screen.problems if not any(known in text for known in EXPECTED)]


def test_the_pages_go_on_after_engine_and_api_die(open_page: Open, console: Console, demo: ExchangeProcess) -> None:
    """A frozen engine is stale, a killed API reconnecting; afterwards nothing is missing, and what happened meanwhile is there.

    The console shows the lag and the cut as well, and shows the exchange again without a reload.
    """
    screen, operated = _trading(open_page), console()
    market = row(operated.page, "Markets", "BTC-PERP")
    engine = demo.children()["engine"]
    os.kill(engine, signal.SIGSTOP)
    state_of(screen, "stale")
    _order(screen, "Limit", "0.02", "56500")
    expect(screen.tab("Open orders").get_by_role("row").filter(has_text="Pending")).to_be_visible()
    expect(market).to_contain_text(re.compile(r"\(\d+\.\d s\)"))  # the lag is more than a second
    os.kill(engine, signal.SIGKILL)
    state_of(screen, "live")
    expect(screen.tab("Open orders").get_by_role("row").filter(has_text="Pending")).to_have_count(0)
    shows_what_rest_says(screen)
    os.kill(demo.children()["api"], signal.SIGKILL)
    state_of(screen, "reconnecting")
    state_of(operated, "reconnecting")
    screen.tab("Fills")  # read while nothing answers
    state_of(screen, "live")
    expect(screen.tab_panel().locator("tbody tr")).to_have_count(1)
    shows_what_rest_says(screen)
    _order(screen, "Limit", "0.03", "56000")
    expect(screen.page.get_by_role("tab", name="Open orders (3)")).to_be_visible()
    shows_what_rest_says(screen)
    _console_is_back(operated)
    _forget_the_outage(screen, operated)


def _console_is_back(operated: Screen) -> None:
    """Live, nothing stale, every market as REST has it, and the books balance."""
    page = operated.page
    state_of(operated, "live")
    expect(page.get_by_text("Stale since")).to_have_count(0)
    for market in operated.get("/admin/markets"):
        shown = row(page, "Markets", market["marketId"])
        expect(shown).to_contain_text(market["status"])
        expect(shown).to_contain_text(market["owner"])
    expect(page.get_by_text("Exact", exact=True)).to_be_visible()


def test_an_order_sent_into_a_cut_is_asked_for(open_page: Open, demo: ExchangeProcess) -> None:
    """The API is killed with the order on its way: the page finds out whether it was stored, and says so; there is at most one."""
    screen = open_page("/trade/BTC-PERP")
    screen.register()
    screen.deposit("10000")
    page = screen.page
    page.get_by_label("Price", exact=True).fill("57000")
    page.get_by_label("Quantity", exact=True).fill("0.01")
    api = demo.children()["api"]
    os.kill(api, signal.SIGSTOP)
    page.get_by_role("button", name="Buy BTC").click()
    os.kill(api, signal.SIGKILL)
    said = page.get_by_role("log").get_by_text(re.compile("was (not )?stored"))
    expect(said).to_be_visible(timeout=60_000)
    was_stored = "was stored" in said.inner_text()
    state_of(screen, "live")
    assert len(screen.get("/orders")) == was_stored
    _forget_the_outage(screen)


def test_what_could_not_be_read_is_read_again(open_page: Open) -> None:
    """Each list fails once when the page is opened: chart, leverage, trades and marks of own fills appear all the same."""
    screen = _trading(open_page)
    page, failed = screen.page, set[str]()
    headers = {"Authorization": f"Bearer {token_of(page)}"}
    assert page.request.post("/positions/BTC-PERP/leverage", data={"leverage": 7}, headers=headers).ok

    def cut_once(route: Route) -> None:
        path = route.request.url.partition("?")[0]
        if path in failed:
            route.continue_()
        else:
            failed.add(path)
            route.abort()

    page.route(re.compile(r"/(candles|leverage|trades|fills)\?"), cut_once)
    page.reload()
    expect(page.get_by_role("button", name="Cross 7x")).to_be_visible()
    expect(page.locator(".legend")).to_be_visible()
    expect(page.locator(".trades tr[data-sequence]").first).to_be_visible()
    screen.tab("Fills")
    expect(screen.tab_panel().locator("tbody tr")).to_have_count(1)
    assert len(failed) == 4
    _forget_the_outage(screen)
