"""What a person does with a page: registers, logs in, deposits, reads."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

PASSWORD = "correct horse"
WITHIN_MS = 30_000
ASK_EVERY_MS = 50
SERIOUS = {"serious", "critical"}
LOADING, LOADED = Axe(), Axe("0")
"""Axe, brought into a page once."""
PANEL, DIALOG, FORM = "[role=tabpanel]", "dialog[open]", "[aria-label='Order form']"
LOOKS = [
    (1_440, "dark"),
    (390, "light"),
    pytest.param(1_440, "light", marks=pytest.mark.chaos),
    pytest.param(390, "dark", marks=pytest.mark.chaos),
]
"""Widths and themes: each of both in the default run, each with each in the full one."""
MARKUP = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\"'`{{7*7}}"
"""What would run, or be drawn, if any text became markup."""
TEXT_FIELDS = "input:visible:not([type=checkbox], [type=radio], [type=datetime-local], [type=number], [readonly])"


class Screen:
    """A page in a browser of its own, and the user who sits before it. `problems` are the errors on its console."""

    def __init__(self, page: Page, email: str) -> None:
        self.page = page
        self.email = email
        self.problems: list[str] = []

    def register(self) -> None:
        """Create the account; afterwards it is logged in."""
        self.page.get_by_role("button", name="Register").click()
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create an account").click()
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        """Log in with an account that exists."""
        self.page.get_by_role("banner").get_by_role("button", name="Log in").click()
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("dialog").get_by_role("button", name="Log in", exact=True).click()
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()

    def begin(self, email: str) -> None:
        """Log in where the form takes no such address."""
        answer = self.page.request.post("/auth/login", data={"email": email, "password": PASSWORD})
        login = answer.json() | {"email": email}
        self.page.evaluate("login => localStorage.setItem('perpetua.session', JSON.stringify(login))", login)
        self.page.reload()

    def show_form(self) -> None:
        """Where the screen shows one panel of the market only, show the order form."""
        panels = self.page.get_by_role("group", name="Panel")
        if panels.is_visible():
            panels.get_by_role("button", name="Order").click()

    def deposit(self, amount: str) -> None:
        """Credit the account, as everybody may locally."""
        self.page.get_by_role("button", name="Deposit").click()
        self.page.get_by_label("Amount").fill(amount)
        self.page.get_by_role("dialog").get_by_role("button", name="Deposit").click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    def get(self, path: str) -> Any:
        """What REST answers to the user of the page."""
        token = self.page.evaluate("JSON.parse(localStorage.getItem('perpetua.session')).token")
        answer = self.page.request.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200, answer.text()
        return answer.json()

    def until(self, fact: Callable[[], Any]) -> None:
        """Wait until a fact of REST is true: the socket shows it some milliseconds before."""
        for _ in range(WITHIN_MS // ASK_EVERY_MS):
            if fact():
                return
            self.page.wait_for_timeout(ASK_EVERY_MS)
        raise AssertionError("it did not become true")

    def report(self, text: str) -> Locator:
        """The report of an action that contains a text."""
        return self.page.get_by_role("log").get_by_text(text)

    def tab(self, name: str) -> Locator:
        """Choose a tab of the account; its panel."""
        self.page.get_by_role("tab", name=name).click()
        return self.tab_panel()

    def tab_panel(self) -> Locator:
        """What the chosen tab shows."""
        return self.page.get_by_role("tabpanel")

    def fill_every_field(self, text: str = MARKUP) -> int:
        """Type a text into every field that takes one, wherever it is on the screen; how many there are."""
        fields, filled = self.page.locator(TEXT_FIELDS), 0
        while filled < fields.count():
            field = fields.nth(filled)
            field.evaluate(
                "each => { if (each.type === 'email') each.type = 'text'; each.removeAttribute('maxlength'); }"
            )
            field.fill(text)
            filled += 1
        return filled

    def nothing_ran(self) -> None:
        """No text became markup: no element that we did not draw, no script that ran."""
        assert self.page.locator("img[src=x], body script:not([src])").count() == 0
        assert self.page.evaluate("window.hacked") is None

    def expect_refused(self, *statuses: int) -> None:
        """Drop what the browser itself reports on its console about answers with these statuses, which the test provokes."""
        known = tuple(f"status of {status}" for status in statuses)
        self.problems[:] = [problem for problem in self.problems if not any(text in problem for text in known)]

    def serious_faults(self, within: str | None = None) -> list[str]:
        """What axe finds that hinders somebody seriously, in the page or in the parts that a selector names: those that have changed."""
        is_there = self.page.evaluate("typeof axe === 'object'")
        found = (LOADED if is_there else LOADING).run(self.page, within).response["violations"]
        return [
            f"{fault['id']}: {[node['html'] for node in fault['nodes']]}"
            for fault in found
            if fault["impact"] in SERIOUS
        ]
