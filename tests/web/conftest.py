"""A demo exchange and a Chromium, which the tests of this folder share, and pages that fail a test by any error on their console."""

import asyncio
import itertools
import json
import os
import shutil
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from bench.exchange_process import ExchangeProcess
from tests.web.console import Console, typed
from tests.web.screen import PASSWORD, WITHIN_MS, Screen

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
PICTURES = ROOT / ".screenshots"
"""Where tests leave what they saw; git ignores it."""
Open = Callable[..., Screen]
_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """An exchange with the demo's prices and market maker. It starts before the browser, whose loop stays in this thread."""
    _needs_chromium()
    exchange = ExchangeProcess(tmp_path_factory.mktemp("web") / "data", demo=True)
    asyncio.run(exchange.start())
    yield exchange
    exchange.end()


@pytest.fixture(scope="package")
def chromium(demo: ExchangeProcess) -> Iterator[Browser]:  # noqa: ARG001 - see there
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=WITHIN_MS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(demo: ExchangeProcess, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens pages: `open_page(path, width, theme)`, on a phone below 720 pixels. Errors on their consoles fail the test.

    Each is a browser of its own, with nobody logged in. Pictures of all are left after the test.
    """
    opened: list[Screen] = []

    def open_one(path: str = "/", width: int = 1_440, theme: str = "dark") -> Screen:
        size = {"width": width, "height": 844 if width < 720 else 900}
        context = chromium.new_context(base_url=demo.url, viewport=size, color_scheme=theme, locale="en-GB")
        context.set_default_timeout(WITHIN_MS)
        page = context.new_page()
        screen = Screen(page, f"user-{uuid.uuid4().hex[:8]}-{next(_numbers)}@example.org")
        _listen(page, screen.problems)
        opened.append(screen)
        page.goto(path)
        return screen

    yield open_one
    name = request.node.name.replace("/", "-")
    for number, screen in enumerate(opened):
        PICTURES.mkdir(exist_ok=True)
        screen.page.screenshot(path=PICTURES / f"{name}-{number}.png")
        screen.page.context.close()
    assert not [problem for screen in opened for problem in screen.problems]


@pytest.fixture(scope="package")
def administrator(demo: ExchangeProcess) -> dict[str, str]:
    """The session of an administrator, as the pages keep it."""
    email = f"operator-{uuid.uuid4().hex[:8]}@example.org"
    user = _post(demo, "/auth/register", {"email": email, "password": PASSWORD})["userId"]
    typed(demo, "admin", "grant", email)
    token = _post(demo, "/auth/login", {"email": email, "password": PASSWORD})["token"]
    return {"token": token, "userId": user, "email": email}


@pytest.fixture
def console(open_page: Open, administrator: dict[str, str]) -> Console:
    """Opens the console for the administrator: `console(width=…, theme=…)`."""

    def open_console(**how: Any) -> Screen:
        screen = open_page("/operate", **how)
        screen.page.evaluate("login => localStorage.setItem('perpetua.session', login)", json.dumps(administrator))
        screen.page.reload()
        expect(screen.page.get_by_role("region", name="Markets")).to_be_visible()
        return screen

    return open_console


def _post(demo: ExchangeProcess, path: str, body: dict[str, str]) -> Any:
    """What REST answers where no page is open."""
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(demo.url + path, json.dumps(body).encode(), headers)  # noqa: S310 - of this machine
    with urllib.request.urlopen(asked) as answer:  # noqa: S310 - as above
        return json.loads(answer.read())


def _listen(page: Page, problems: list[str]) -> None:
    """Collect what goes wrong in a page."""

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            problems.append(f"{message.text} ({message.location.get('url', '')})")

    page.on("console", hear)
    page.on("pageerror", lambda error: problems.append(str(error)))


def _needs_chromium() -> None:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium-headless-shell")
    os.environ.setdefault("PLAYWRIGHT_SKIP_VALIDATE_HOST_REQUIREMENTS", "1")
