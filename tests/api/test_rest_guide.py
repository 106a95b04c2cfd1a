"""docs/rest.md shows every route, with the answers the exchange gives."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_asyncio

from agents.dead_letter_retry import retry_for_operator
from api.routes import ALL_ROUTES
from api.services import DeadLetters
from broker.dead_letters import DeadLetter, StoredLetter
from schemas.commands import AdvanceClock
from schemas.units import Timestamp
from tests.api.exchange import Client, Exchange
from tests.api.rest_guide import GUIDE, HEADING, played, routes_asked, timeless
from tests.api.test_history import EIGHT_HOURS_US, fund, run_command, take_over

TEXT = GUIDE.read_text()
TOPIC = "engine.commands.BTC-PERP"
LETTER = DeadLetter(f"{TOPIC}@57", "BTC-PERP", "NOT_JSON", "it begins with byte 0x00", None, 57, 3, b"\0\1x", TOPIC)


async def _carol_quotes(exchange: Exchange, _: Mapping[str, Any]) -> None:
    carol = await exchange.user("100000")
    await carol.order(side="BUY", quantity="1", price="59900")
    await carol.order(side="SELL", quantity="1", price="60010")
    await exchange.run_engine()


async def _two_intervals_of_funding_end(exchange: Exchange, _: Mapping[str, Any]) -> None:
    end = await fund(exchange)
    await run_command(exchange, AdvanceClock(Timestamp(end + EIGHT_HOURS_US)))


async def _the_fund_takes_over(exchange: Exchange, tokens: Mapping[str, Any]) -> None:
    await take_over(exchange, Client(exchange.session, "", tokens["ALICE"], tokens["alice"]), lots=300)


STAGES = {
    "Carol quotes": _carol_quotes,
    "two intervals of funding end": _two_intervals_of_funding_end,
    "the insurance fund takes Alice's position over": _the_fund_takes_over,
}


@pytest_asyncio.fixture
async def patient_exchange(database: str) -> AsyncIterator[Exchange]:
    """An exchange that waits as long as one in production."""

    async def read() -> list[StoredLetter]:
        return [StoredLetter(0, LETTER)]

    letters = DeadLetters(read, retry_for_operator)
    listening = await Exchange(database, dead_letters=letters).start(drain_timeout_s=30.0, wait_timeout_s=2.0)
    yield listening
    await listening.stop()


async def test_every_answer_in_the_guide_is_the_exchanges_own(patient_exchange: Exchange) -> None:
    """Sent in order, each request is answered as it is shown; only ids of requests, times, hashes and secrets may differ.

    After an intended change: `WRITE_GUIDE=1 pytest tests/api/test_rest_guide.py` writes the current answers.
    """
    exchange = patient_exchange
    bob, admin = await exchange.user("100000"), await exchange.user(None, is_admin=True)
    played_text = await played(exchange, TEXT, {"BOB": bob.token, "ADMIN": admin.token}, STAGES)
    if os.environ.get("WRITE_GUIDE"):
        GUIDE.write_text(played_text)
    assert timeless(played_text).splitlines() == timeless(TEXT).splitlines()


def test_every_route_has_its_place_in_the_guide() -> None:
    """A heading for each route and no other, and under it at least one request to that very route."""
    headings = [match.groups() for match in HEADING.finditer(TEXT)]
    assert sorted(headings) == sorted((route.method, route.path) for route in ALL_ROUTES)
    sections = re.split(r"^##+ ", TEXT, flags=re.MULTILINE)
    for method, path in headings:
        (section,) = [section for section in sections if section.startswith(f"{method} {path}\n")]
        assert (method, path) in {(route.method, route.path) for route in routes_asked(section)}
