"""The trading page itself: its look at every size, what it does with hostile text, its keys, and the book it shows."""

import re

import pytest
from playwright.sync_api import expect

from api.documents.web_tree import WEB_TREE
from tests.web.conftest import Open
from tests.web.screen import Screen

SIZES = [(1_440, 900, "dark"), (1_440, 900, "light"), (390, 844, "dark"), (390, 844, "light")]
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`{{7*7}}"

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


@pytest.mark.parametrize(("width", "height", "theme"), SIZES)
def test_the_page_is_accessible_and_fits(open_page: Open, width: int, height: int, theme: str) -> None:
    """Without serious findings of axe, in every panel; nothing is wider than the screen."""
    screen = open_page("/trade/ETH-PERP", width, height, theme)
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
    price = level.evaluate("row => { row.click(); return row.cells[0].textContent; }").replace(",", "")
    expect(page.get_by_label("Price", exact=True)).to_have_value(price)


def test_hostile_text_stays_text(open_page: Open) -> None:
    """Markup in every field, in the address and in the kept session runs nothing and draws nothing."""
    screen = open_page("/trade/%3Cimg%20src=x%20onerror=alert(1)%3E")
    page = screen.page
    page.on("dialog", lambda dialog: screen.problems.append(f"a script ran: {dialog.message}"))
    expect(page.get_by_role("alert")).to_contain_text("There is no market <img src=x onerror=alert(1)>")
    page.evaluate(
        "text => localStorage.setItem('perpetua.session', JSON.stringify({token: text, userId: text, email: text}))",
        MARKUP,
    )
    page.goto("/trade/BTC-PERP")
    expect(page.get_by_text("Your session has ended: log in again.")).to_be_visible()
    page.keyboard.press("Escape")
    screen.problems[:] = [problem for problem in screen.problems if "401" not in problem]
    screen.register()
    for field in page.get_by_role("region", name="Order form").get_by_role("textbox").all():
        field.fill(MARKUP)
    page.get_by_title("Choose a market (m)").click()
    page.get_by_label("Search").fill(MARKUP)
    expect(page.get_by_text("No market has this name")).to_be_visible()
    assert page.locator("img, body script:not([src])").count() == 0
