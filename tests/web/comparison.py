"""What the trading page shows, compared with what REST answers."""

import re
from decimal import Decimal
from typing import Any

from playwright.sync_api import expect

from api.documents.web_tree import WEB_TREE
from tests.web.screen import Screen

MARKET = "BTC-PERP"
DEPTH = 100
BOOKS_AT_ONE_SEQUENCE = """async ([version, market, depth]) => {
  const { book } = await import(`/web/${version}/trade/market_feed.js`);
  const seen = [];
  const levels = (side) => side.slice(0, depth).map(([price, quantity]) => `${price}:${quantity}`);
  const note = () => book.now && seen.push([book.now.sequence, levels(book.now.bids), levels(book.now.asks)]);
  note();
  const end = book.watch(note);
  const texts = (side) => side.map(({price, quantity}) => `${price}:${quantity}`);
  for (const began = Date.now(); Date.now() - began < 20000; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const stored = await (await fetch(`/markets/${market}/orderbook?depth=${depth}`)).json();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = seen.filter(([sequence]) => sequence <= stored.sequence).at(-1);
    if (!before) continue;
    end();
    return [before.slice(1), [texts(stored.bids), texts(stored.asks)]];
  }
  return null;
}"""
"""The levels of the page's book and of REST at the same sequence: what the page had last at or before that of REST."""


def shows_what_rest_says(screen: Screen) -> None:
    """Open orders, position, balance, histories, trades and book of the page are those of REST."""
    _same_orders(screen)
    _same_position(screen)
    _same_money(screen)
    _same_histories(screen)
    same_market(screen)


def _same_orders(screen: Screen) -> None:
    panel = screen.tab("Open orders")
    orders = screen.get("/orders?status=LIVE,UNTRIGGERED,TRIGGERED")["data"]
    expect(panel.locator("tbody tr")).to_have_count(len(orders))
    for order in orders:
        cancel = screen.page.get_by_role("button", name=f"Cancel {order['orderId']}", exact=True)
        row = panel.get_by_role("row").filter(has=cancel)
        expect(row).to_contain_text(order["status"].replace("_", " ").capitalize())
        for text in (f"{Decimal(order['price']):,.1f}", f"{Decimal(order['quantity']):.3f}"):
            expect(row).to_contain_text(text)


def _same_position(screen: Screen) -> None:
    (held,) = screen.get("/positions")
    row = screen.tab("Positions").get_by_role("row").filter(has_text=MARKET)
    exact = [f"{Decimal(held['quantity']):.3f}", f"{Decimal(held['entryPrice']):,.1f}", f"{held['leverage']}x"]
    for text in (held["side"].capitalize(), *exact):
        expect(row).to_contain_text(text)


def _same_money(screen: Screen) -> None:
    (balance,) = screen.get("/balances")
    expect(screen.tab("Balances").locator("[data-balance=total]")).to_have_text(f"{Decimal(balance['total']):,}")
    expect(screen.page.locator("[data-value=wallet]")).to_have_text(f"{Decimal(balance['total']):,.2f}")


def _same_histories(screen: Screen) -> None:
    """Each row of fills, ended orders and ledger by its id, in order."""
    lists: list[tuple[str, str, str]] = [
        ("Fills", "/fills?limit=50", "tradeId"),
        ("Order history", "/orders?status=FILLED,CANCELLED,REJECTED,EXPIRED&limit=50", "orderId"),
        ("Ledger", "/ledger?limit=50", "referenceId"),
    ]
    for tab, path, name in lists:
        ids = [str(row[name]) for row in screen.get(path)["data"]]
        expect(screen.tab(tab).locator("tbody tr td.wide:last-child")).to_have_text(ids)


def same_market(screen: Screen) -> None:
    """The trades that are shown are the last ones of REST, and the book is that of REST at the same sequence."""
    page = screen.page
    screen.until(lambda: _shown_trades(screen) == _stored_trades(screen))
    books: Any = page.evaluate(BOOKS_AT_ONE_SEQUENCE, [WEB_TREE.version, MARKET, DEPTH])
    assert books is not None
    shown, stored = books
    assert shown == stored
    assert len(shown[0]) > 10
    expect(page.get_by_role("region", name="Order book")).to_have_attribute("data-bad", "0")


def _shown_trades(screen: Screen) -> list[int]:
    rows = screen.page.locator(".trades tr[data-sequence]")
    return [int(text) for text in rows.evaluate_all("rows => rows.map(row => row.dataset.sequence)")]


def _stored_trades(screen: Screen) -> list[int]:
    return [trade["sequence"] for trade in screen.get(f"/markets/{MARKET}/trades?limit=60")["data"]]


def state_of(screen: Screen, name: str) -> None:
    """Wait until the page says that it is live, stale or reconnecting."""
    expect(screen.page.locator("[data-state]")).to_have_attribute("data-state", re.compile(name), timeout=60_000)
