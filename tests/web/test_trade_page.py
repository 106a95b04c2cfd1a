"""The trading page itself: its look at every size, what it does with hostile text, its keys, and the book it shows."""

import re

import pytest
from playwright.sync_api import expect

from api.documents.web_tree import WEB_TREE
from tests.web.conftest import Open
from tests.web.console import token_of
from tests.web.screen import DIALOG, FORM, LOOKS, PANEL, Screen

BOOKS = 3
COMPARE = """async ([version, market, count]) => {
  const { book } = await import(`/web/${version}/trade/market_feed.js`);
  const seen = [];
  const note = () => book.now && seen.push([book.now.sequence, book.now.checksum]);
  note();
  book.watch(note);
  const take = () => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}/ws`);
    socket.onopen = () => socket.send(JSON.stringify({op: "subscribe", channel: "book", market, depth: 100}));
    socket.onmessage = ({data}) => { const message = JSON.parse(data); if (message.op === "snapshot") { socket.close(); resolve(message); } };
  });
  const compared = [];
  for (const began = Date.now(); new Set(compared.map(([, checksum]) => checksum)).size < count && Date.now() - began < 60000; ) {
    const {sequence, checksum} = await take();
    await new Promise((resolve) => setTimeout(resolve, 500));
    compared.push([seen.filter(([at]) => at <= sequence).at(-1)[1], checksum]);
  }
  return compared;
}"""
"""The checksums of the page's book and of snapshots that another connection takes, at the same sequences."""


def _live(screen: Screen) -> None:
    expect(screen.page.get_by_role("status").filter(has_text="Live")).to_be_visible()


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_page_is_accessible_and_fits(open_page: Open, width: int, theme: str) -> None:
    """Without serious findings of axe, in every panel; nothing is wider than the screen."""
    screen = open_page("/trade/ETH-PERP", width, theme)
    _live(screen)
    assert not screen.serious_faults()
    views = screen.page.get_by_role("group", name="Panel")
    for view in ("Book", "Trades", "Order") if width < 720 else ():
        views.get_by_role("button", name=view).click()
        assert not screen.serious_faults(), view
    assert screen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if width > 720:  # whatever the panels hold
        screen.page.evaluate(
            """for (let row = 0; row < 99; row += 1)
                 document.querySelector('.trades tbody').insertRow().insertCell().innerHTML = '<span class="unseen">Bought at</span>1'"""
        )
        assert screen.page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")


@pytest.mark.parametrize(("width", "theme"), [pytest.param(1_440, "dark", marks=pytest.mark.chaos), *LOOKS[1:]])
def test_tabs_and_dialogs_are_accessible(open_page: Open, width: int, theme: str) -> None:
    """With a position and an order: each tab of the account, the conditional form with its legs, and every dialog."""
    screen = open_page("/trade/BTC-PERP", width, theme)
    page = screen.page
    screen.register()
    screen.show_form()
    screen.deposit("10000")
    token = token_of(page)
    for order in ({"type": "MARKET"}, {"type": "LIMIT", "price": "55000"}):
        asked = {"marketId": "BTC-PERP", "side": "BUY", "quantity": "0.01", **order}
        assert page.request.post("/orders", data=asked, headers={"Authorization": f"Bearer {token}"}).ok
    for tab in ("Open orders (1)", "Order history", "Fills", "Funding", "Ledger", "Balances", "Positions (1)"):
        expect(screen.tab(tab).get_by_text("Reading", exact=True)).to_have_count(0)
        assert not screen.serious_faults(PANEL), tab
    for name in ("Close", "TP/SL", "Deposit", "Withdraw", "BTC-PERP", "Keys (?)"):
        page.get_by_role("button", name=name, exact=True).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert not screen.serious_faults(DIALOG), name
        page.keyboard.press("Escape")
    for kind in ("Limit", "Market", "Conditional"):
        page.get_by_role("group", name="Type").get_by_role("button", name=kind).click()
        page.get_by_text("More", exact=True).click()
        assert not screen.serious_faults(FORM), kind
        page.get_by_text("More", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_book_kept_from_updates_is_the_one_of_snapshots(open_page: Open) -> None:
    """The page keeps it from updates: at each sequence of a snapshot that another connection takes, both have one checksum."""
    screen = open_page("/trade/BTC-PERP")
    _live(screen)
    compared = screen.page.evaluate(COMPARE, [WEB_TREE.version, "BTC-PERP", BOOKS])
    assert [page for page, _ in compared] == [exchange for _, exchange in compared]
    assert len({page for page, _ in compared}) == BOOKS
    book = screen.page.get_by_role("region", name="Order book")
    expect(book).to_have_attribute("data-bad", "0")


def test_keys_reach_form_market_and_help(open_page: Open) -> None:
    """b and s choose the side, arrows step the price by a tick, m opens the markets, ? the keys, Esc closes."""
    page = open_page("/trade/BTC-PERP").page
    expect(page.get_by_label("Quantity", exact=True)).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_label("Quantity", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Sell", exact=True)).to_have_attribute("aria-pressed", "true")
    price = page.get_by_label("Price", exact=True)
    price.fill("60000")
    price.press("ArrowUp")
    expect(price).to_have_value("60000.1")
    price.press("Shift+ArrowDown")
    expect(price).to_have_value("59999.1")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("m")
    page.get_by_role("dialog", name="Markets").get_by_label("Search").fill("sol")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/trade/SOL-PERP$"))


TYPED_AND_SENT_AT_ONCE = """async ([version]) => {
  const { change } = await import(`/web/${version}/trade/order_draft.js`);
  const sent = new Promise((resolve) => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      const message = JSON.parse(text);
      if (message.op === "order.place") resolve(message.quantity);
      else send.call(this, text);
    };
  });
  change({ type: "LIMIT", price: "1000", quantity: "0.1" });
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  change({ quantity: "0.12" });
  document.querySelector(".order-form").requestSubmit();
  return await sent;
}"""


def test_what_is_typed_is_sent_also_before_it_is_drawn(open_page: Open) -> None:
    """Enter right after the last digit sends all of them."""
    screen = open_page("/trade/BTC-PERP")
    screen.register()
    _live(screen)
    assert screen.page.evaluate(TYPED_AND_SENT_AT_ONCE, [WEB_TREE.version]) == "0.12"


def test_a_click_in_the_book_fills_the_form(open_page: Open) -> None:
    """The price of the level is in the form."""
    page = open_page("/trade/BTC-PERP").page
    level = page.locator(".levels.sell tbody tr").last
    shown = level.evaluate("row => { row.click(); return row.cells[0].textContent; }").replace(",", "")
    expect(page.get_by_label("Price", exact=True)).to_have_value(re.compile(rf"^{shown.removesuffix('.0')}(\.0)?$"))
