"""What the console shows of incidents: a dead letter with its retry, a liquidation with its receipt. Both are real."""

import asyncio
import re
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaProducer
from playwright.sync_api import expect

from bench.exchange_process import ExchangeProcess
from schemas.topics import commands_topic
from tests.web.conftest import Open
from tests.web.console import Console, confirm, row, typed
from tests.web.screen import MARKUP

STAKE = "100"
CLOSED_BY_FORCE = re.compile(r"(Liquidation|Taken over by the insurance fund): sold [\d.]+ SOL-PERP at ")


def test_an_operator_retries_a_dead_letter(console: Console, demo: ExchangeProcess) -> None:
    """What an intruder wrote into a command log is listed, its markup as text; the retry says what became of it, and is logged."""
    elsewhere(lambda: _write(demo.published()["brokerUrl"], commands_topic("ETH-PERP"), MARKUP.encode()))
    screen = console()
    page = screen.page
    page.get_by_role("tab", name="Dead letters").click()
    letter = row(page, "Dead letters", MARKUP)
    expect(letter).to_contain_text("ETH-PERP")
    letter.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog", name="Retry a dead letter")).to_contain_text("sends the commands")
    confirm(page, "Retry", MARKUP)
    (stored,) = [each for each in screen.get("/admin/dead-letters")["data"] if each["text"] == MARKUP]
    expect(screen.report(f"{stored['id']}: UNREADABLE")).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    logged = row(page, "What operators did", "Retry dead letter").first
    for text in (MARKUP, stored["id"], "UNREADABLE"):
        expect(logged).to_contain_text(text)
    screen.nothing_ran()


def test_a_liquidation_appears_with_its_receipt(open_page: Open, console: Console, demo: ExchangeProcess) -> None:
    """A long of 15x falls with the market: its owner is told, and the open console shows the case and the facts that REST has."""
    trader = open_page("/trade/SOL-PERP")
    trader.register()
    trader.deposit(STAKE)
    operated = console()
    operated.page.get_by_role("tab", name="Liquidations").click()
    trader.page.get_by_role("group", name="Type").get_by_role("button", name="Market").click()
    mark = Decimal(trader.get("/markets/SOL-PERP")["markPrice"])
    trader.page.get_by_label("Quantity", exact=True).fill(f"{Decimal(STAKE) * 15 / mark:.1f}")
    trader.page.get_by_role("button", name="Buy SOL").click()
    expect(trader.page.get_by_role("tab", name="Positions (1)")).to_be_visible()
    typed(demo, "demo", "shock", "SOL-PERP", "-8")
    expect(trader.page.get_by_role("log").get_by_text(CLOSED_BY_FORCE).first).to_be_visible()
    user = trader.get("/me")["userId"]
    shown = row(operated.page, "Receipts of forced actions", "SOL-PERP").filter(
        has=operated.page.get_by_role("link", name=user, exact=True)
    )
    expect(shown.first).to_be_visible()
    (receipt, *_) = trader.get("/liquidations?order=asc")["data"]
    mine = shown.filter(has_text=f"{receipt['liquidationId']} / {receipt['step']}")
    mine.get_by_text("Receipt").first.click()
    for text in _leaves(receipt["inputs"]):
        expect(mine).to_contain_text(text)
    expect(trader.page.get_by_role("tab", name="Positions (0)")).to_be_visible()
    mine.get_by_role("link", name=user, exact=True).click()
    expect(operated.page.get_by_role("heading", name=trader.email)).to_be_visible()


def _leaves(fact: Any) -> list[str]:
    """Every text and number in a receipt."""
    if isinstance(fact, dict):
        return [text for value in fact.values() for text in _leaves(value)]
    if isinstance(fact, list):
        return [text for value in fact for text in _leaves(value)]
    return [] if fact is None or isinstance(fact, bool) else [str(fact)]


def elsewhere(work: Callable[[], Any]) -> None:
    """Run a coroutine in another thread: Playwright's loop runs in this one."""
    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()


async def _write(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
