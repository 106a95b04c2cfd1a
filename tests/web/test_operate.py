"""The console of operators, in a browser."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Open
from tests.web.console import Console, confirm, row, token_of
from tests.web.screen import LOOKS, PANEL, PASSWORD

ATTACK = "<img/src=x/onerror=window.hacked=1>"
SCRIPT = "</td><script>window.hacked=1</script> \"'&amp; {{7*7}} \u202egnol"
TABS = ("Overview", "Accounts", "Liquidations", "Dead letters", "Log", "Proof")


def test_an_operator_halts_and_resumes_a_market(console: Console) -> None:
    """The dialog names what happens; nothing is done without a reason; the status changes, and the log has both acts."""
    screen = console()
    page = screen.page
    ether = row(page, "Markets", "ETH-PERP")
    ether.get_by_role("button", name="Halt").click()
    dialog = page.get_by_role("dialog", name="Halt: ETH-PERP")
    expect(dialog).to_contain_text("stops matching")
    expect(dialog.get_by_role("button", name="Halt", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(ether).to_contain_text("ACTIVE")
    ether.get_by_role("button", name="Halt").click()
    confirm(page, "Halt", "drill")
    expect(screen.report("ETH-PERP is HALTED")).to_be_visible()
    expect(ether).to_contain_text("HALTED")
    ether.get_by_role("button", name="Resume").click()
    confirm(page, "Resume", "drill is over")
    expect(screen.report("ETH-PERP is ACTIVE")).to_be_visible()
    expect(ether).to_contain_text("ACTIVE")
    ether.get_by_role("button", name="Drain").click()
    confirm(page, "Drain", "before an upgrade")
    expect(screen.report("Drained ETH-PERP")).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    for reason in ("drill", "drill is over", "before an upgrade"):
        expect(row(page, "What operators did", reason).first).to_contain_text("ETH-PERP")


def test_an_operator_finds_freezes_and_corrects_a_user(console: Console) -> None:
    """An e-mail and reasons that are scripts are shown as they are written, and run nowhere."""
    screen = console()
    page = screen.page
    email = f"{ATTACK}{screen.email.split('@')[0]}@example.org"
    made = page.request.post("/auth/register", data={"email": email, "password": PASSWORD})
    user = made.json()["userId"]
    page.get_by_role("tab", name="Accounts").click()
    page.get_by_label("User id, or the beginning").fill(email[:-4])
    expect(row(page, "Users", email)).to_contain_text("normal")
    page.get_by_role("link", name=user, exact=True).click()
    expect(page.get_by_role("heading", name=email)).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("dialog")).to_contain_text("may only reduce")
    confirm(page, "Freeze", SCRIPT)
    expect(screen.report(f"User {user} is frozen")).to_be_visible()
    account = page.get_by_role("region", name="Account")
    expect(account).to_contain_text("frozen since")
    account.get_by_role("button", name="Correct balance").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Take").click()
    dialog.get_by_label("Amount").fill("5")
    confirm(page, "Take 5 USDC", SCRIPT)
    expect(dialog.get_by_role("alert")).to_contain_text("INSUFFICIENT_BALANCE")
    assert "422" in screen.problems[-1]  # the browser itself reports an answer that is no success
    screen.problems.pop()
    dialog.get_by_role("button", name="Give").click()
    confirm(page, "Give 5 USDC", SCRIPT)
    expect(screen.report("is 5 USDC")).to_be_visible()
    page.get_by_role("tab", name="Ledger").click()
    expect(row(page, "Ledger", "Correction")).to_contain_text("+5.000000")
    page.get_by_role("tab", name="Acts of operators").click()
    expect(row(page, "What operators did", SCRIPT.split(" ", maxsplit=1)[0]).first).to_contain_text("Correct balance")
    account.get_by_role("button", name="Unfreeze").click()
    confirm(page, "Unfreeze", "resolved")
    expect(account).to_contain_text("normal")
    account.get_by_role("button", name="End sessions").click()
    confirm(page, "End sessions", "ticket 12")
    expect(screen.report(f"sessions of user {user} are ended")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_somebody_without_the_role_is_told_so(open_page: Open) -> None:
    """In words, with the code and what helps; nothing of the exchange is shown."""
    screen = open_page("/operate")
    expect(screen.page.get_by_role("heading", name="This console is for administrators")).to_be_visible()
    screen.register()
    refusal = screen.page.get_by_role("alert")
    expect(refusal).to_contain_text(screen.email)
    expect(refusal).to_contain_text("FORBIDDEN")
    expect(screen.page.get_by_text("admin grant")).to_be_visible()
    expect(screen.page.get_by_role("tab")).to_have_count(0)


def test_the_books_and_the_path_of_an_order_are_shown(console: Console) -> None:
    """Conservation holds live; the path has a hop on each part of the system; an unknown order is refused in words."""
    screen = console(width=390, theme="light")
    page = screen.page
    page.get_by_role("tab", name="Proof").click()
    books = page.get_by_role("region", name="Conservation")
    expect(books.get_by_text("holds", exact=True)).to_have_count(4)
    deposited = page.request.post(
        "/deposits",
        data={"asset": "USDC", "amount": "1000"},
        headers={"Authorization": f"Bearer {token_of(page)}"},
    )
    assert deposited.status == 201
    asked = {"marketId": "BTC-PERP", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    placed = page.request.post("/orders", data=asked, headers={"Authorization": f"Bearer {token_of(page)}"}).json()
    page.get_by_label("Order id").fill(placed["orderId"])
    page.get_by_role("button", name="Trace").click()
    path = page.get_by_role("region", name="Path of an order")
    for hop in ("Accepted", "Relayed", "Matched", "Filled", "Persisted"):
        expect(path.get_by_text(hop, exact=True).first).to_be_visible()
    page.set_viewport_size({"width": 1_440, "height": 900})
    columns, line = (page.locator(place).first.bounding_box() for place in (".path-head", ".way"))
    assert columns is not None
    assert line is not None
    part = columns["width"] / 4  # from the middle of the first of four parts to that of the second
    assert line["x"] - columns["x"] == pytest.approx(part / 2, abs=12)
    assert line["width"] == pytest.approx(part, abs=12)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_every_tab_is_usable_by_everybody(console: Console, width: int, theme: str) -> None:
    """Axe finds nothing serious, and nothing is wider than the screen."""
    screen = console(width=width, theme=theme)
    assert not screen.serious_faults()
    for name in TABS:
        screen.page.get_by_role("tab", name=name, exact=True).click()
        expect(screen.page.get_by_text("Reading", exact=True)).to_have_count(0)
        assert not screen.serious_faults(PANEL), name
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= width, name
