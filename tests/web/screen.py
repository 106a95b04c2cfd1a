"""What a person does with a page: registers, logs in, deposits, reads."""

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

PASSWORD = "correct horse"
WITHIN_MS = 30_000
ASK_EVERY_MS = 50
SERIOUS = {"serious", "critical"}


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
        return self.page.get_by_role("tabpanel")

    def serious_faults(self) -> list[str]:
        """What axe finds that hinders somebody seriously."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {[node['html'] for node in fault['nodes']]}"
            for fault in found
            if fault["impact"] in SERIOUS
        ]
