"""The walk of a trader over the trading page, from the registration to the logout."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Open
from tests.web.screen import LOOKS, Screen

MARKET = "/trade/BTC-PERP"


def choose(page: Page, group: str, name: str) -> None:
    """Press one of a group of buttons."""
    page.get_by_role("group", name=group).get_by_role("button", name=name).click()


def row(panel: object, text: str) -> object:
    """The row of a table that contains a text."""
    return panel.get_by_role("row").filter(has_text=text)  # type: ignore[attr-defined]


def mark_of(screen: Screen) -> Decimal:
    """The mark now."""
    return Decimal(screen.get("/markets/BTC-PERP")["markPrice"])


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_a_trader_walks_from_register_to_logout(open_page: Open, width: int, theme: str) -> None:
    """Register, deposit, limit, market with TP/SL, stop, amend, cancel, close, history, logout: each step shows what REST says."""
    screen = open_page(MARKET, width, theme)
    page = screen.page
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    screen.register()
    screen.show_form()
    screen.deposit("10000")
    expect(page.locator("[data-value=wallet]")).to_have_text("10,000.00")
    _rest_a_bid(screen)
    _buy_at_market(screen)
    _stop_the_position(screen)
    _amend_and_cancel(screen)
    _close(screen)
    _read_the_histories(screen)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("Log in to see your positions and orders")).to_be_visible()
    assert page.evaluate("localStorage.getItem('perpetua.session')") is None


def _rest_a_bid(screen: Screen) -> None:
    """A bid 5 % below the mark: previewed, acknowledged, listed, and marked in no level of the book that it is not in."""
    page, price = screen.page, str(int(mark_of(screen) * Decimal("0.95")))
    page.get_by_label("Price", exact=True).fill(price)
    page.get_by_label("Quantity", exact=True).fill("0.01")
    expect(page.get_by_role("region", name="Order form").get_by_role("status")).to_have_text("Would be open")
    expect(page.locator(".preview div", has_text="Margin needed").locator("dd")).not_to_have_text("\u2013")
    page.get_by_role("button", name="Buy BTC").click()
    expect(screen.report("accepted in")).to_be_visible()
    expect(page.get_by_text("Last order acknowledged in")).to_be_visible()
    panel = screen.tab("Open orders")
    expect(row(panel, "Open")).to_contain_text("Limit")
    screen.until(lambda: screen.get("/orders")[0]["status"] == "OPEN")
    (order,) = screen.get("/orders")
    assert (order["price"], order["quantity"]) == (price, "0.01")


def _buy_at_market(screen: Screen) -> None:
    """0.05 with take-profit and stop-loss: the fill, the position whose profit moves with the mark, and both exits."""
    page, mark = screen.page, mark_of(screen)
    choose(page, "Type", "Market")
    page.get_by_label("Quantity", exact=True).fill("0.05")
    page.get_by_label("TP/SL").check()
    page.get_by_label("Take profit", exact=True).fill(str(int(mark * Decimal("1.2"))))
    page.get_by_label("Stop loss", exact=True).fill(str(int(mark * Decimal("0.9"))))
    expect(page.get_by_role("region", name="Order form").get_by_role("status")).to_have_text("Would be filled")
    page.get_by_role("button", name="Buy BTC").click()
    panel = screen.tab("Positions")
    position = row(panel, "Long")
    expect(position).to_contain_text("0.050")
    pnl = page.locator("[data-pnl='BTC-PERP']")
    before = pnl.inner_text()
    expect(pnl).not_to_have_text(before)
    expect(page.get_by_role("tab", name="Open orders (3)")).to_be_visible()
    assert re.search(r"\d{2},\d{3}\.\d / \d{2},\d{3}\.\d", position.inner_text())  # type: ignore[attr-defined]


def _stop_the_position(screen: Screen) -> None:
    """A stop-market order waits for its condition."""
    page, mark = screen.page, mark_of(screen)
    choose(page, "Side", "Sell")
    choose(page, "Type", "Conditional")
    page.get_by_label("Trigger price").fill(str(int(mark * Decimal("0.8"))))
    page.get_by_label("Close the whole position").check()
    expect(page.get_by_role("region", name="Order form").get_by_role("status")).to_contain_text(
        "Waits for its condition"
    )
    page.get_by_role("button", name="Sell BTC").click()
    expect(page.get_by_role("tab", name="Open orders (4)")).to_be_visible()
    screen.until(lambda: sum(order["status"] == "UNTRIGGERED" for order in screen.get("/orders")) == 3)


def _amend_and_cancel(screen: Screen) -> None:
    """The price of the bid is changed in its row; then the bid is cancelled there."""
    page, panel = screen.page, screen.tab("Open orders")
    bid = next(order for order in screen.get("/orders") if order["status"] == "OPEN")
    panel.get_by_role("button", name=f"change the price of {bid['orderId']}").click()
    lower = str(int(bid["price"]) - 100)
    page.get_by_label(f"New price of {bid['orderId']}").fill(lower)
    page.keyboard.press("Enter")
    expect(panel.get_by_role("button", name=re.compile(f"{int(lower):,}.*change the price"))).to_be_visible()
    screen.until(lambda: screen.get(f"/orders/{bid['orderId']}")["price"] == lower)
    cancel = panel.get_by_role("button", name=f"Cancel {bid['orderId']}", exact=True)
    cancel.click()
    expect(cancel).to_have_count(0)
    screen.until(lambda: screen.get(f"/orders/{bid['orderId']}")["status"] == "CANCELLED")


def _close(screen: Screen) -> None:
    """Closing the position ends its exits with it."""
    page, panel = screen.page, screen.tab("Positions")
    panel.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Close long").click()
    expect(panel.get_by_text("No open positions")).to_be_visible()
    expect(page.get_by_role("tab", name="Open orders (0)")).to_be_visible()
    screen.until(lambda: screen.get("/positions") == [])


def _read_the_histories(screen: Screen) -> None:
    """Orders, fills, ledger and balances are those of REST."""
    ended = screen.tab("Order history")
    expect(row(ended, "Cancelled: position closed")).to_have_count(3)
    fills = screen.get("/fills")
    expect(screen.tab("Fills").locator("tbody tr")).to_have_count(len(fills))
    ledger = screen.tab("Ledger")
    expect(ledger).to_contain_text("Trading fee")
    expect(ledger).to_contain_text(f"{Decimal(screen.get('/ledger?limit=1')['data'][0]['balanceAfter']):,} USDC")
    total = screen.get("/balances")[0]["total"]
    expect(screen.tab("Balances").locator("[data-balance=total]")).to_have_text(f"{Decimal(total):,}")
