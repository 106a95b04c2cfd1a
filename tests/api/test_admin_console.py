"""What the console of operators reads, and halt, cancel-only and resume over REST."""

import asyncio
from typing import Any

import pytest

from agents.dead_letter_retry import retry_for_operator
from api.services import DeadLetters
from broker.dead_letters import DeadLetter, StoredLetter
from store.queries.operations.books import keep_verification
from tests.api.exchange import Client, Exchange, Reply, now
from tests.api.margin_scene import long_from
from tests.api.test_history import take_over


async def set_status(admin: Client, status: Any, market: str = "BTC-PERP", reason: Any = "drill") -> Reply:
    """Set the status of a market."""
    return await admin.call("POST", f"/admin/markets/{market}/status", {"status": status, "reason": reason})


async def test_an_operator_halts_and_resumes_a_market(exchange: Exchange) -> None:
    """202 with the command; once that is persisted, the market is so, and the log of operators has both states."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    for status, before in (("HALTED", "ACTIVE"), ("CANCEL_ONLY", "HALTED"), ("ACTIVE", "CANCEL_ONLY")):
        sent = await set_status(admin, status)
        assert (sent.status, sent.body["before"]) == (202, {"status": before})
        assert sent.body["after"] == {"status": status, "commandId": sent.headers["X-Command-Id"]}
        await exchange.run_engine()
        shown = (await admin.get("/admin/markets", after=sent.headers["X-Command-Id"])).body[0]
        assert (shown["marketId"], shown["status"], shown["operatorStatus"]) == ("BTC-PERP", status, status)
        assert ((await alice.order()).status == 202) == (status == "ACTIVE")


@pytest.mark.parametrize("status", ["SETTLED", "SETTLEMENT_ONLY", "INITIALIZING", "halted", "", 1, None])
async def test_other_states_are_not_set_over_rest(exchange: Exchange, status: Any) -> None:
    """The end of a market is the command line's; nothing reaches the log."""
    admin = await exchange.user(is_admin=True)
    assert (await set_status(admin, status)).code == "INVALID_REQUEST"
    assert (await set_status(admin, "HALTED", "DOGE-PERP")).code == "MARKET_NOT_FOUND"
    assert await exchange.value("SELECT max(command_seq) FROM counters") == 1


async def test_production_opens_no_market_without_price_sources(database: str) -> None:
    """As on the command line: refused with the reason, and it can still be halted."""
    exchange = await Exchange(database).start(opens_without_sources=False)
    admin = await exchange.user(is_admin=True)
    refused = await set_status(admin, "ACTIVE")
    assert (refused.code, refused.details["reason"]) == ("MARKET_NOT_ACTIVE", "NO_PRICE_SOURCES")
    assert (await set_status(admin, "HALTED")).status == 202
    await exchange.stop()


async def test_markets_show_what_lags_and_who_trades(exchange: Exchange) -> None:
    """Commands that wait, orders a second, the time to their rows; sources with their freshness."""
    admin = await exchange.user(is_admin=True)
    await long_from(exchange, "10000", "0.1")
    await (await exchange.user()).order(marketId="ETH-PERP", price="3000", quantity="1")
    source = '[{"name": "one", "weight": 2, "maxAgeMs": 1000}]'
    await exchange.execute("UPDATE markets SET price_sources = $1::jsonb, price_quorum = 1 WHERE market_id = 1", source)
    await exchange.execute("INSERT INTO price_reports VALUES (1, 'one', now() - interval '1 hour')")
    bitcoin, ether = (await admin.get("/admin/markets")).body
    assert (bitcoin["openInterest"], bitcoin["unpersisted"], bitcoin["unsent"]) == ("0.1", 0, 0)
    assert (bitcoin["pace"]["seconds"], bitcoin["pace"]["ordersAccepted"]) == (5, 2)
    assert 0 < bitcoin["pace"]["latencyUsP50"] <= bitcoin["pace"]["latencyUsP95"] < 60_000_000
    assert ether["pace"] == {"seconds": 5, "ordersAccepted": 1, "latencyUsP50": None, "latencyUsP95": None}
    (shown,) = bitcoin["sources"]
    assert (shown["name"], shown["weight"], shown["isFresh"]) == ("one", 2, False)
    assert (ether["unsent"], ether["unpersisted"]) == (1, 0)


async def test_the_books_are_shown_as_they_are(exchange: Exchange) -> None:
    """Nothing is missing; a micro that was made is."""
    admin = await exchange.user(is_admin=True)
    await long_from(exchange, "10000", "0.1")
    books = (await admin.get("/admin/conservation")).body
    assert {books[name] for name in ("difference", "clearingDifference", "walletDifference")} == {"0"}
    assert (books["paidIn"], books["sizeDifferences"]) == ("101020000", {})
    await exchange.execute("UPDATE accounts SET wallet = wallet + 1 WHERE user_id = $1", admin.user)
    await exchange.execute("UPDATE positions SET lots = lots + 5 WHERE lots > 0")
    wrong = (await admin.get("/admin/conservation")).body
    assert (wrong["difference"], wrong["walletDifference"]) == ("0.000001", "0.000001")
    assert wrong["sizeDifferences"] == {"BTC-PERP": "5"}


async def test_audits_and_verifications_are_listed(exchange: Exchange) -> None:
    """Newest first, with what they found."""
    admin = await exchange.user(is_admin=True)
    await exchange.execute(
        "INSERT INTO audit_runs (at, took_ms, difference, findings) VALUES (now(), 5, 0, '[]'),"
        """ (now(), 6, 1, '[{"invariant": "sizes", "subject": "BTC-PERP", "expected": "0", "got": "1"}]')"""
    )
    newest, oldest = (await admin.get("/admin/audits")).body["data"]
    assert (newest["difference"], newest["findings"][0]["subject"], oldest["findings"]) == ("0.000001", "BTC-PERP", [])
    report = {"market": "BTC-PERP", "toEvent": 9, "differencesFound": 2, "differences": [["x", "1", "2"]]}
    await keep_verification(await exchange.kept("verify"), "BTC-PERP", report, 12, now())
    (verified,) = (await admin.get("/admin/verifications?marketId=BTC-PERP")).body["data"]
    assert (verified["marketId"], verified["differencesFound"], verified["report"]) == ("BTC-PERP", 2, report)
    assert (await admin.get("/admin/verifications?marketId=ETH-PERP")).body["data"] == []


async def test_receipts_of_all_accounts_are_listed(exchange: Exchange) -> None:
    """With the user whose account it was."""
    admin = await exchange.user(is_admin=True)
    alice, _ = await long_from(exchange, "10000", "0.1")
    await take_over(exchange, alice, lots=100)
    found = (await admin.get("/admin/liquidations")).body["data"]
    assert [(each["userId"], each["receipt"]["action"]) for each in found] == [(str(alice.user), "TAKE_OVER")]
    assert found[0]["receipt"] == (await alice.get("/liquidations")).body["data"][0]
    assert (await admin.get("/admin/liquidations?marketId=ETH-PERP")).body["data"] == []


async def test_an_order_of_anybody_is_traced(exchange: Exchange) -> None:
    """The very trace that its owner sees."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    order = (await alice.order()).body["orderId"]
    await exchange.run_engine()
    assert (await admin.get(f"/admin/orders/{order}/trace")).body == (await alice.get(f"/orders/{order}/trace")).body
    for unknown in ("BTC-PERP-999", "x", "BTC-PERP-1e9"):
        assert (await admin.get(f"/admin/orders/{unknown}/trace")).code == "ORDER_NOT_FOUND"


async def test_a_drain_is_logged_with_its_outcome(database: str) -> None:
    """Also one that timed out."""
    exchange = await Exchange(database).start(drain_timeout_s=5.0)
    admin = await exchange.user(is_admin=True)
    assert (await admin.call("POST", "/admin/drain", {"marketId": "ETH-PERP", "reason": "upgrade"})).status == 504
    draining = asyncio.create_task(admin.call("POST", "/admin/drain"))
    while not draining.done():
        await exchange.run_engine()
        await asyncio.sleep(0.01)
    assert (await draining).status == 200
    done, late = (await admin.get("/admin/acts")).body["data"]
    assert (late["marketId"], late["reason"], late["after"]) == (
        "ETH-PERP",
        "upgrade",
        {"isDrained": False, "behind": ["ETH-PERP"]},
    )
    assert (done["marketId"], done["reason"]) == (None, None)
    assert (done["after"]["isDrained"], done["after"]["skipped"]) == (True, [])
    await exchange.stop()


async def test_dead_letters_are_listed_and_retried(database: str) -> None:
    """Newest first, in pages; a retry is logged; an unknown one is refused and nothing is retried."""
    letters = [
        DeadLetter(f"engine.commands.BTC-PERP@{n}", "BTC-PERP", "NOT_JSON", "bad", None, n, 4, b"\xff<b>")
        for n in range(3)
    ]

    async def read() -> list[StoredLetter]:
        return [StoredLetter(40 + place, letter) for place, letter in enumerate(letters)]

    exchange = await Exchange(database, dead_letters=DeadLetters(read, retry_for_operator)).start()
    admin = await exchange.user(is_admin=True)
    page = (await admin.get("/admin/dead-letters?limit=2")).body
    assert [each["offset"] for each in page["data"]] == [2, 1]
    assert page["data"][0]["text"] == "\\xff<b>"
    rest = (await admin.get(f"/admin/dead-letters?limit=2&cursor={page['nextCursor']}")).body
    assert [each["offset"] for each in rest["data"]] == [0]
    asked = {"ids": [letters[1].id, letters[1].id], "reason": "fixed"}
    retried = await admin.call("POST", "/admin/dead-letters/retry", asked)
    assert [(each["id"], each["result"]) for each in retried.body] == [(letters[1].id, "UNREADABLE")]
    (logged,) = (await admin.get("/admin/acts")).body["data"]
    assert (logged["action"], logged["marketId"], logged["before"]["id"]) == (
        "RETRY_DEAD_LETTER",
        "BTC-PERP",
        letters[1].id,
    )
    unknown = await admin.call("POST", "/admin/dead-letters/retry", {"ids": [letters[0].id, "nobody"], "reason": "x"})
    assert (unknown.code, unknown.details) == ("NOT_FOUND", {"ids": ["nobody"]})
    for hostile in ({"ids": []}, {"ids": ["x"] * 101}, {"ids": "all"}, {}):
        assert (
            await admin.call("POST", "/admin/dead-letters/retry", hostile | {"reason": "x"})
        ).code == "INVALID_REQUEST"
    await exchange.stop()


@pytest.mark.parametrize("fault", [None, ConnectionError("refused"), TimeoutError()])
async def test_without_a_broker_dead_letters_are_unavailable(database: str, fault: Exception | None) -> None:
    """503, in words; the rest of the console works."""

    async def read() -> list[StoredLetter]:
        raise fault or AssertionError

    letters = None if fault is None else DeadLetters(read, retry_for_operator)
    exchange = await Exchange(database, dead_letters=letters).start()
    admin = await exchange.user(is_admin=True)
    assert (await admin.get("/admin/dead-letters")).code == "UNAVAILABLE"
    retried = await admin.call("POST", "/admin/dead-letters/retry", {"ids": ["x"], "reason": "x"})
    assert (retried.code, "nothing was done" in retried.body["error"]["message"]) == ("UNAVAILABLE", True)
    assert (await admin.get("/admin/processes")).body == []
    await exchange.stop()
