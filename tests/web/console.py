"""What an operator does with the console."""

import os
import subprocess
import sys
from collections.abc import Callable

from playwright.sync_api import Locator, Page

from bench.exchange_process import ROOT, ExchangeProcess
from tests.web.screen import Screen

Console = Callable[..., Screen]


def typed(demo: ExchangeProcess, *words: str) -> str:
    """What a command of the operator prints."""
    environment = {**os.environ, "DATA": str(demo.data)}
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def row(page: Page, table: str, text: str) -> Locator:
    """The row of a table that has this text."""
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


def confirm(page: Page, button: str, reason: str) -> None:
    """Give the reason in the open dialog, and do it."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=button, exact=True).click()


def token_of(page: Page) -> str:
    """The token of the session of a page."""
    return str(page.evaluate("JSON.parse(localStorage.getItem('perpetua.session')).token"))
