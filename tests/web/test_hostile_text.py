"""Markup in every text field of every page, in addresses and in what is stored: it stays text, runs nothing and draws nothing."""

import re
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.web.conftest import Open
from tests.web.console import Console, row, token_of
from tests.web.screen import MARKUP, PASSWORD, Screen

Step = Callable[[Page], None]


def _each_dialog(screen: Screen, openers: dict[str, Step]) -> None:
    """Open each dialog, fill all of its fields, send it, and leave it."""
    page = screen.page
    for name, open_it in openers.items():
        open_it(page)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert screen.fill_every_field() > 0, name
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        screen.nothing_ran()
        while page.get_by_role("dialog").count():
            page.keyboard.press("Escape")


def test_the_trading_page(open_page: Open) -> None:
    """The address, the kept session, every type of order, each dialog, and the cell that amends an order."""
    screen = open_page("/trade/%3Cimg%20src=x%20onerror=window.hacked=1%3E")
    page = screen.page
    expect(page.get_by_role("alert")).to_contain_text("There is no market <img src=x onerror=window.hacked=1>")
    page.evaluate(
        "text => localStorage.setItem('perpetua.session', JSON.stringify({token: text, userId: text, email: text}))",
        MARKUP,
    )
    page.goto("/trade/BTC-PERP")
    expect(page.get_by_text("Your session has ended: log in again.")).to_be_visible()
    page.keyboard.press("Escape")
    screen.expect_refused(401)
    _each_dialog(screen, {"log in": _click("Log in"), "register": _click("Register")})
    screen.register()
    screen.deposit("10000")
    _every_order(screen)
    _hold_a_position(screen)
    openers = {
        "markets": lambda page: page.get_by_title("Choose a market (m)").click(),
        **{name: _click(name) for name in ("Deposit", "Withdraw", "TP/SL", "Close")},
    }
    _each_dialog(screen, openers)
    panel = screen.tab("Open orders")
    panel.get_by_role("button", name=re.compile("change the price")).click()
    assert screen.fill_every_field() > 0
    page.keyboard.press("Enter")
    screen.nothing_ran()
    screen.expect_refused(400, 401, 422, 429)


def test_an_address_that_is_no_text(open_page: Open) -> None:
    """A page of the last market is shown, not an empty one."""
    screen = open_page("/trade/BTC-PERP")
    screen.page.evaluate("history.pushState(null, '', '/trade/%E0%A4%A'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(screen.page.get_by_role("button", name="BTC-PERP")).to_be_visible()
    screen.page.evaluate("location.hash = '#%E0%A4%A'")
    expect(screen.page.get_by_role("region", name="Order book")).to_be_visible()


def test_the_account_page(open_page: Open) -> None:
    """Each tab and dialog; the name of a key, and the browser of a session, are shown as they were written."""
    screen = open_page("/account")
    _each_dialog(screen, {"log in": _click("Log in to your account"), "register": _click("Open an account")})
    screen.register()
    for name in ("Money", "Security", "Sessions", "Statements"):
        panel = screen.tab(name)
        if name == "Security":
            panel.get_by_role("button", name="Set up an authenticator app").click()
            expect(panel.get_by_role("img")).to_be_visible()
        screen.fill_every_field()
        for button in panel.locator("button[type=submit]:visible").all():
            button.click()
        screen.nothing_ran()
    _store_what_is_shown(screen)
    key = MARKUP[:64]
    panel = screen.tab("API keys")
    expect(panel.get_by_role("cell", name=key, exact=True)).to_be_visible()
    _each_dialog(screen, {"key": _click("Create a key")})
    panel.get_by_role("button", name=f"Revoke {key}", exact=True).click()
    expect(screen.report(f"The key {key} is revoked")).to_be_visible()
    expect(screen.tab("Sessions").get_by_text(MARKUP)).to_be_visible()
    screen.nothing_ran()
    screen.expect_refused(400, 401, 422, 429)


def test_the_console(open_page: Open, console: Console) -> None:
    """Each dialog with its reason and amounts, the search, the order, the address; a user's e-mail, orders and keys."""
    email = f"<img/src=x/onerror=window.hacked=1>{id(open_page)}@example.org"
    user = open_page("/trade/BTC-PERP")
    made = user.page.request.post("/auth/register", data={"email": email, "password": PASSWORD})
    user.begin(email)
    expect(user.page.get_by_role("banner")).to_contain_text(email)
    user.deposit("1000")
    _store_what_is_shown(user)
    screen, number = console(), made.json()["userId"]
    page = screen.page
    for name in ("Cancel-only", "Halt", "Resume", "Drain"):  # each is done, for a reason that is markup
        _each_dialog(screen, {name: _click(f"{name} SOL-PERP")})
    expect(row(page, "Markets", "SOL-PERP")).to_contain_text("ACTIVE")
    for address in (f"#accounts/{quote(MARKUP)}", f"#proof/{quote(MARKUP)}", f"#{quote(MARKUP)}", "#accounts/%E0%A4%A"):
        page.goto(f"/operate{address}")
        page.reload()
        expect(page.get_by_role("tab").first).to_be_visible()
        screen.fill_every_field()
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        screen.nothing_ran()
    page.goto(f"/operate#accounts/{number}")
    expect(page.get_by_role("heading", name=email)).to_be_visible()
    for tab in ("Orders", "API keys", "Ledger", "Acts of operators"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("region", name=tab, exact=True)).to_be_visible()
    _each_dialog(
        screen,
        {name: _click(name) for name in ("Freeze", "Unfreeze", "Correct balance", "Remove TOTP", "End sessions")},
    )
    screen.expect_refused(400, 404, 422)
    user.expect_refused(401)


def _every_order(screen: Screen) -> None:
    """Every field that the form has for any type of order."""
    page, form = screen.page, screen.page.get_by_role("region", name="Order form")
    for kind in ("Limit", "Market", "Conditional"):
        page.get_by_role("group", name="Type").get_by_role("button", name=kind).click()
        for condition in (
            form.get_by_label("Condition").locator("option").all_inner_texts() if kind == "Conditional" else ("",)
        ):
            if condition:
                form.get_by_label("Condition").select_option(condition)
            assert screen.fill_every_field() > 0
            page.keyboard.press("Enter")
            screen.nothing_ran()


def _hold_a_position(screen: Screen) -> None:
    """A position, and a bid in the book."""
    page = screen.page
    page.reload()
    page.get_by_role("group", name="Type").get_by_role("button", name="Market").click()
    page.get_by_label("Quantity", exact=True).fill("0.01")
    page.get_by_role("button", name="Buy BTC").click()
    expect(page.get_by_role("tab", name="Positions (1)")).to_be_visible()
    page.get_by_role("group", name="Type").get_by_role("button", name="Limit").click()
    page.get_by_label("Price", exact=True).fill("55000")
    page.get_by_label("Quantity", exact=True).fill("0.01")
    page.get_by_role("button", name="Buy BTC").click()
    expect(page.get_by_role("tab", name="Open orders (1)")).to_be_visible()
    screen.tab("Positions")


def _store_what_is_shown(screen: Screen) -> None:
    """What only a program can send: a key with this name, a login from this browser; a client order id with it is refused."""
    page = screen.page
    headers = {"Authorization": f"Bearer {token_of(page)}"}
    key = {"label": MARKUP[:64], "scopes": ["read"]}
    assert page.request.post("/api-keys", data=key, headers=headers).status == 201
    order = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "price": "50000", "quantity": "0.001"}
    placed = page.request.post("/orders", data=order | {"clientOrderId": MARKUP[:36]}, headers=headers)
    assert (placed.status, placed.json()["error"]["code"]) == (400, "INVALID_ORDER")
    browser = page.context.browser
    assert browser is not None
    email = page.evaluate("JSON.parse(localStorage.getItem('perpetua.session')).email")
    agent = browser.new_context(base_url=page.url, user_agent=MARKUP)
    assert agent.request.post("/auth/login", data={"email": email, "password": PASSWORD}).status == 200
    agent.close()


def _click(name: str) -> Step:
    """Press the button with this name."""
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()
