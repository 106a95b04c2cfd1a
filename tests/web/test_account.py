"""The account page in a browser: passwords, TOTP, keys, sessions, money, statements and files."""

import csv
import io
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pyotp
import pytest
from playwright.sync_api import Download, expect

from tests.web.conftest import PICTURES, Open
from tests.web.screen import LOOKS, PANEL, PASSWORD, Screen

NEW_PASSWORD = "another horse"
STEP_S = 30


def code_of(secret: str, steps: int = 0) -> str:
    """The code that an app shows, or will in steps of 30 seconds. A past one is taken early in a step: it must not expire on its way."""
    left = STEP_S - time.time() % STEP_S
    if steps < 0 and left < STEP_S / 3:
        time.sleep(left)
    return pyotp.TOTP(secret).at(int(time.time()), counter_offset=steps)


def refused(screen: Screen, status: int, path: str) -> None:
    """The exchange refused a request of the page, which the browser reports on its console: it is expected here."""

    def found() -> list[str]:
        return [problem for problem in screen.problems if f"status of {status}" in problem and path in problem]

    screen.until(found)  # the page shows it some milliseconds before
    screen.problems.remove(found()[0])


class Enrolled(NamedTuple):
    """The secret, the code that is used up, and the recovery codes that are shown once."""

    secret: str
    used: str
    recovery: list[str]


def enrol(screen: Screen) -> Enrolled:
    """Turn TOTP on with the code of the step before."""
    panel = screen.tab("Security")
    panel.get_by_role("button", name="Set up an authenticator app").click()
    secret = panel.get_by_label("Secret", exact=True).inner_text()
    image = panel.get_by_role("img", name="QR code of the secret")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    used = code_of(secret, -1)
    panel.get_by_label("Code of the app").fill(used)
    panel.get_by_role("button", name="Turn it on").click()
    items = panel.get_by_role("list", name="Recovery codes").get_by_role("listitem")
    expect(items).to_have_count(10)
    codes = items.all_inner_texts()
    panel.get_by_role("button", name="I have kept them").click()
    expect(panel.get_by_text("10 of 10 recovery codes are left")).to_be_visible()
    return Enrolled(secret, used, codes)


def begin_login(screen: Screen, email: str, password: str = PASSWORD) -> None:
    """E-mail and password, and the answer that a code is needed."""
    page = screen.page
    page.get_by_role("button", name="Log in to your account").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("dialog").get_by_role("button", name="Log in", exact=True).click()


def enter_code(screen: Screen, code: str) -> None:
    """The second step of a login."""
    screen.page.get_by_label("Code of your authenticator, or a recovery code").fill(code)
    screen.page.get_by_role("dialog").get_by_role("button", name="Log in", exact=True).click()


def test_a_user_logs_in_with_totp(open_page: Open) -> None:
    """Enrolled with a QR code; then the login asks for a code, refuses a used one in words, and takes a recovery code once."""
    screen = open_page("/account")
    screen.register()
    secret, used, recovery = enrol(screen)
    screen.page.get_by_role("button", name="Log out").click()
    begin_login(screen, screen.email)
    enter_code(screen, used)
    expect(screen.page.get_by_role("alert").filter(has_text="UNAUTHENTICATED")).to_be_visible()
    enter_code(screen, code_of(secret))
    expect(screen.page.get_by_role("button", name="Log out")).to_be_visible()
    screen.page.get_by_role("button", name="Log out").click()
    begin_login(screen, screen.email)
    enter_code(screen, recovery[0].lower())
    expect(screen.page.get_by_role("button", name="Log out")).to_be_visible()
    panel = screen.tab("Security")
    expect(panel.get_by_text("9 of 10 recovery codes are left")).to_be_visible()
    panel.get_by_label("Code, or a recovery code").fill(recovery[1])
    panel.get_by_role("button", name="Turn it off").click()
    expect(screen.report("Two-factor login is off")).to_be_visible()
    for _ in range(3):
        refused(screen, 401, "/auth/login")


def test_money_moves_in_and_out_and_a_withdrawal_needs_a_code(open_page: Open) -> None:
    """Deposit, withdraw what is too much, then with a code; the statement adds up to what the wallet says."""
    screen = open_page("/account")
    screen.register()
    secret, _, _ = enrol(screen)
    panel = screen.tab("Money")
    panel.get_by_label("Amount to deposit").fill("1234.5")
    panel.get_by_role("button", name="Deposit", exact=True).click()
    expect(panel.get_by_text("1,234.5 USDC").first).to_be_visible()
    for amount, steps in (("99999", 0), ("34.5", 1)):
        panel.get_by_label("Amount to withdraw").fill(amount)
        panel.get_by_label("Code of your authenticator").fill(code_of(secret, steps))
        panel.get_by_role("button", name="Withdraw", exact=True).click()
        if amount == "99999":
            expect(panel.get_by_text("INSUFFICIENT_BALANCE")).to_be_visible()
            refused(screen, 422, "/withdrawals")
    expect(screen.report("Withdrawn 34.5 USDC")).to_be_visible()
    assert screen.get("/balances")[0]["total"] == "1200"
    figures = screen.tab("Statements").get_by_label("Statement of")
    expect(figures).to_contain_text("Balance so far1,200 USDC")
    expect(figures).to_contain_text("Withdrawals\u221234.500000")


def test_a_new_password_ends_the_other_sessions(open_page: Open) -> None:
    """The second browser is logged out; a wrong present password is refused in words and ends nothing."""
    first, second = open_page("/account"), open_page("/account")
    first.register()
    begin_login(second, first.email)
    rows = second.tab("Sessions").get_by_role("row")
    expect(rows).to_have_count(3)
    panel = first.tab("Security")
    for word in ("wrong horse", PASSWORD):
        panel.get_by_label("Present password").fill(word)
        panel.get_by_label("New password").fill(NEW_PASSWORD)
        panel.get_by_role("button", name="Change the password").click()
        if word != PASSWORD:
            expect(panel.get_by_role("alert").filter(has_text="password is wrong")).to_be_visible()
            refused(first, 401, "/auth/password")
    expect(first.report("The password is changed")).to_be_visible()
    second.page.reload()
    expect(second.page.get_by_role("button", name="Log in to your account")).to_be_visible()
    second.page.wait_for_load_state("networkidle")
    refused(second, 401, "/")
    second.problems[:] = [problem for problem in second.problems if "status of 401" not in problem]
    first.tab("Sessions").get_by_role("button", name="End").click()
    expect(first.page.get_by_role("button", name="Log in to your account")).to_be_visible()


def test_a_key_is_shown_once_and_revoked(open_page: Open) -> None:
    """It works as its scopes say; after the dialog nothing in the page has it; once revoked it works no more."""
    screen = open_page("/account")
    screen.register()
    panel = screen.tab("API keys")
    panel.get_by_role("button", name="Create a key").click()
    dialog = screen.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("my bot")
    dialog.get_by_label("Place and cancel orders").check()
    dialog.get_by_role("button", name="Create the key").click()
    secret = screen.page.get_by_label("Key", exact=True).inner_text()
    screen.page.get_by_role("button", name="I have kept it").click()
    expect(panel.get_by_role("row").filter(has_text="my bot")).to_contain_text("read, trade")
    assert secret.startswith("perp_")
    assert secret not in screen.page.content()
    ask = screen.page.request.get
    assert ask("/balances", headers={"Authorization": f"Bearer {secret}"}).status == 200
    panel.get_by_role("button", name="Revoke my bot").click()
    expect(panel.get_by_text("Revoked", exact=True)).to_be_visible()


def test_history_is_downloaded_as_files(open_page: Open) -> None:
    """CSV with a header, and JSON lines whose last line has the number of rows and their SHA-256."""
    screen = open_page("/account")
    screen.register()
    panel = screen.tab("Money")
    panel.get_by_label("Amount to deposit").fill("50")
    panel.get_by_role("button", name="Deposit", exact=True).click()
    expect(screen.report("Deposited 50 USDC")).to_be_visible()
    panel = screen.tab("Statements")
    panel.get_by_label("What").select_option("ledger")
    (row,) = csv.DictReader(io.StringIO(_text(_downloaded(screen))))
    assert (row["type"], row["amount"]) == ("DEPOSIT", "50")
    panel.get_by_label("Format").select_option("ndjson")
    panel.get_by_label("Period").select_option(index=1)
    file = _downloaded(screen)
    assert file.suggested_filename.endswith(".ndjson")
    line, last = _text(file).splitlines(keepends=True)
    assert json.loads(last) == {"rows": 1, "sha256": sha256(line.encode()).hexdigest()}


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_everybody_can_use_it(open_page: Open, width: int, theme: str) -> None:
    """Axe finds nothing serious in any tab, nor where nobody is logged in; nothing is wider than the screen."""
    screen = open_page("/account", width, theme)
    assert not screen.serious_faults()
    screen.register()
    assert not screen.serious_faults()
    for name in ("Money", "Security", "Sessions", "API keys", "Statements"):
        panel = screen.tab(name)
        expect(panel.get_by_role("heading").first).to_be_visible()
        if name == "Security":
            panel.get_by_role("button", name="Set up an authenticator app").click()
            expect(panel.get_by_role("img")).to_be_visible()
        screen.page.screenshot(path=PICTURES / f"account-{name}-{width}-{theme}.png", full_page=True)
        assert not screen.serious_faults(PANEL), name
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= width, name


def _downloaded(screen: Screen) -> Download:
    with screen.page.expect_download() as waiting:
        screen.page.get_by_role("tabpanel").get_by_role("button", name="Download").click()
    return waiting.value


def _text(file: Download) -> str:
    return Path(file.path()).read_text()
