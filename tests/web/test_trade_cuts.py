"""The open page while parts of the exchange stop and die: it says so, goes on by itself, and shows what REST says."""

import os
import re
import signal
from decimal import Decimal

from playwright.sync_api import expect

from bench.exchange_process import ExchangeProcess
from tests.web.conftest import Open
from tests.web.screen import Screen

EXPECTED = ("net::ERR", "WebSocket connection", "503", "by-client-id")
"""What a browser itself writes to the console when a server is away."""


def _state(screen: Screen, name: str) -> None:
    expect(screen.page.locator("[data-state]")).to_have_attribute("data-state", name, timeout=60_000)


def _shows_what_rest_says(screen: Screen) -> None:
    """Open orders, position and wallet of the page are those of REST, and every checksum of the book agreed."""
    page = screen.page
    orders = screen.get("/orders?status=LIVE,UNTRIGGERED,TRIGGERED")["data"]
    panel = screen.tab("Open orders")
    for order in orders:
        expect(panel.get_by_role("button", name=f"Cancel {order['orderId']}")).to_be_visible()
    expect(panel.get_by_role("button", name="Cancel BTC-PERP")).to_have_count(len(orders))
    (position,) = screen.get("/positions")
    shown = screen.tab("Positions").get_by_role("row").filter(has_text=position["side"].capitalize())
    expect(shown).to_contain_text(f"{Decimal(position['quantity']):.3f}")
    wallet = Decimal(screen.get("/balances")[0]["total"])
    expect(page.locator("[data-value=wallet]")).to_have_text(f"{wallet:,.2f}")
    expect(page.get_by_role("region", name="Order book")).to_have_attribute("data-bad", "0")


def _order(screen: Screen, kind: str, quantity: str, price: str = "") -> None:
    page = screen.page
    page.get_by_role("group", name="Type").get_by_role("button", name=kind).click()
    if price:
        page.get_by_label("Price", exact=True).fill(price)
    page.get_by_label("Quantity", exact=True).fill(quantity)
    page.get_by_role("button", name="Buy BTC").click()


def test_the_page_goes_on_after_engine_and_api_die(open_page: Open, demo: ExchangeProcess) -> None:
    """A frozen engine is stale, a killed API reconnecting; afterwards nothing is missing, and what happened meanwhile is there."""
    screen = open_page("/trade/BTC-PERP")
    screen.register()
    screen.deposit("10000")
    _order(screen, "Market", "0.01")
    expect(screen.page.get_by_role("tab", name="Positions (1)")).to_be_visible()
    _order(screen, "Limit", "0.01", "57000")
    expect(screen.page.get_by_role("tab", name="Open orders (1)")).to_be_visible()
    engine = demo.children()["engine"]
    os.kill(engine, signal.SIGSTOP)
    _state(screen, "stale")
    _order(screen, "Limit", "0.02", "56500")
    expect(screen.tab("Open orders").get_by_role("row").filter(has_text="Pending")).to_be_visible()
    os.kill(engine, signal.SIGKILL)
    _state(screen, "live")
    expect(screen.tab("Open orders").get_by_role("row").filter(has_text="Pending")).to_have_count(0)
    _shows_what_rest_says(screen)
    os.kill(demo.children()["api"], signal.SIGKILL)
    _state(screen, "reconnecting")
    _state(screen, "live")
    _shows_what_rest_says(screen)
    _order(screen, "Limit", "0.03", "56000")
    expect(screen.page.get_by_role("tab", name="Open orders (3)")).to_be_visible()
    _shows_what_rest_says(screen)
    screen.problems[:] = [problem for problem in screen.problems if not any(known in problem for known in EXPECTED)]


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
    _state(screen, "live")
    assert len(screen.get("/orders")) == was_stored
    screen.problems[:] = [problem for problem in screen.problems if not any(known in problem for known in EXPECTED)]
