"""Administrators look accounts up and act on them over REST; nobody else does."""

import re
from typing import Any

import pytest

from api.documents.openapi_examples import EXAMPLES
from api.route import Access
from api.routes import ALL_ROUTES
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from tests.api.exchange import Client, Exchange, Reply
from tests.api.margin_scene import close, long_from
from tests.api.users import log_in, registered, with_totp
from tests.eventually import eventually

WHY = {"reason": "ticket 12"}
HOSTILE = "<script>alert(1)</script>"


async def act(admin: Client, user: int | str, name: str, body: Any = None, **options: Any) -> Reply:
    """An act on an account."""
    return await admin.call("POST", f"/admin/users/{user}/{name}", WHY if body is None else body, **options)


async def correct(admin: Client, user: int, amount: str, key: str | None = "once", **more: Any) -> Reply:
    """A correction."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await act(admin, user, "corrections", {"asset": "USDC", "amount": amount} | WHY | more, headers=headers)


async def test_only_administrators_operate(exchange: Exchange) -> None:
    """Every route under /admin: without a token 401, with a user's 403 FORBIDDEN, also for their own account; with an API key 403."""
    alice, nobody = await exchange.user(), exchange.anonymous()
    key = (await alice.call("POST", "/api-keys", {"label": "k", "scopes": ["read", "trade", "withdraw"]})).body[
        "secret"
    ]
    bot = Client(exchange.session, alice.url, key)
    asked = [route for route in ALL_ROUTES if route.access is Access.ADMIN]
    assert len(asked) >= 20
    assert [route for route in ALL_ROUTES if route.path.startswith("/admin/")] == asked
    for route in asked:
        path = re.sub(r"\{\w+\}", str(alice.user), route.path.replace("{marketId}", "BTC-PERP"))
        body = EXAMPLES.get(route.body) if route.body else None
        headers = {"Idempotency-Key": "x"}
        for caller, status, code in (
            (nobody, 401, "UNAUTHENTICATED"),
            (alice, 403, "FORBIDDEN"),
            (bot, 403, "FORBIDDEN"),
        ):
            answer = await caller.call(route.method, path, body, headers=headers)
            assert (answer.status, answer.code) == (status, code), route.path
    assert await exchange.value("SELECT count(*) FROM operator_acts") == 0
    assert (await alice.order()).status == 202


async def test_a_role_that_is_revoked_is_gone_at_once(exchange: Exchange) -> None:
    """The next request is refused; the last administrator stays, and one who is none is told so."""
    first, second = await exchange.user(is_admin=True), await exchange.user(is_admin=True)
    done = await act(first, second.user, "revoke-admin")
    assert (done.status, done.body["before"], done.body["after"]) == (200, {"role": "admin"}, {"role": "user"})
    assert (await second.get("/admin/acts")).code == "FORBIDDEN"
    again = await act(first, second.user, "revoke-admin")
    assert (again.status, again.code) == (400, "INVALID_REQUEST")
    last = await act(first, first.user, "revoke-admin")
    assert (last.status, last.code, last.details) == (403, "FORBIDDEN", {"reason": "LAST_ADMIN"})
    assert (await first.get("/admin/acts")).status == 200


async def test_an_account_is_found_by_id_and_by_email(exchange: Exchange) -> None:
    """The beginning of the address suffices, in any case; what matches nothing is an empty page."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    email = await exchange.value("SELECT email FROM users WHERE user_id = $1", alice.user)
    for search in (str(alice.user), email, email.upper()):
        found = (await admin.call("GET", "/admin/users", params={"search": search})).body["data"]
        assert (found[0]["userId"], found[0]["email"], found[0]["frozenAt"]) == (str(alice.user), email, None)
    begins = (await admin.get("/admin/users?search=user")).body["data"]
    assert [int(each["userId"]) for each in begins] == sorted({admin.user, alice.user}, reverse=True)
    for nothing in ("zzz", "%", "_", "insurance", "-3", "0", "' OR true --", "\U0001f600", HOSTILE):
        assert (await admin.call("GET", "/admin/users", params={"search": nothing})).body["data"] == [], nothing
    pages = [(await admin.get("/admin/users?limit=1")).body]
    pages.append((await admin.get(f"/admin/users?limit=1&cursor={pages[0]['nextCursor']}")).body)
    assert [page["data"][0]["userId"] for page in pages] == [str(alice.user), str(admin.user)]


async def test_an_account_is_shown_with_everything_in_it(exchange: Exchange) -> None:
    """Balance, equity, margin, positions, orders, fills, ledger and keys, as the user sees them."""
    admin = await exchange.user(is_admin=True)
    alice, _ = await long_from(exchange, "10000", "0.1")
    await alice.order(price="59000")
    await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["read"]})
    shown = (await admin.get(f"/admin/users/{alice.user}")).body
    assert shown["balance"] == (await alice.get("/balances")).body[0]
    assert (shown["equity"], shown["maintenanceMargin"], shown["isInLiquidation"]) == ("9998.8", "30", False)
    assert (shown["activeKeys"], shown["openOrders"]) == (1, 1)
    for name in ("positions", "orders", "fills", "ledger", "api-keys"):
        theirs = (await alice.get(f"/{name}?limit=100")).body
        assert (await admin.get(f"/admin/users/{alice.user}/{name}")).body == theirs != {"data": [], "nextCursor": None}
    for unknown in ("999999", "-3", "0", "01", "x", "1e3", "9" * 30):
        assert (await admin.get(f"/admin/users/{unknown}")).code == "NOT_FOUND", unknown


async def test_a_frozen_account_hears_so_until_it_is_unfrozen(exchange: Exchange) -> None:
    """Orders, previews, amends and withdrawals name the reason; closing, cancelling and deposits work."""
    admin = await exchange.user(is_admin=True)
    alice, _ = await long_from(exchange, "10000", "0.1")
    resting = await alice.order(price="59000")
    frozen = await act(admin, alice.user, "freeze")
    assert (frozen.status, frozen.body["operatorId"], frozen.body["after"]["cancelledOrders"]) == (
        200,
        str(admin.user),
        [resting.body["orderId"]],
    )
    why = {"reason": "ACCOUNT_FROZEN"}
    for refused in (await alice.order(), await alice.order(marketId="ETH-PERP", price="3000", quantity="1")):
        assert (refused.status, refused.code, refused.details) == (409, "MARKET_NOT_ACTIVE", why)
        assert "frozen" in refused.body["error"]["message"]
    assert (await alice.preview()).body["refusal"]["details"] == why
    money = await alice.withdraw("1")
    assert (money.code, money.details) == ("INSUFFICIENT_BALANCE", {"requested": "1", "available": "0"} | why)
    assert (await alice.deposit("1")).status == 201
    await exchange.run_engine()
    assert (await alice.get(f"/orders/{resting.body['orderId']}")).body["reason"] == "MARGIN"
    stop = {"type": "STOP_MARKET", "price": None, "quantity": None, "side": "SELL", "closePosition": True}
    protective = await alice.order(**stop, triggerPrice="50000")
    assert protective.status == 202, protective.body
    assert (await alice.cancel(protective.body["orderId"])).status == 202
    assert (await close(alice)).status == 202
    assert (await admin.get("/admin/users?frozen=true")).body["data"][0]["userId"] == str(alice.user)
    assert (await act(admin, alice.user, "unfreeze")).body["after"] == {"frozenAt": None}
    assert (await admin.get("/admin/users?frozen=true")).body["data"] == []
    assert (await alice.order()).status == 202


async def test_revoked_keys_stop_within_a_second(exchange: Exchange) -> None:
    """All of the user's; the token of their login goes on."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    made = (await alice.call("POST", "/api-keys", {"label": "k", "scopes": ["read"]})).body
    bot = Client(exchange.session, alice.url, made["secret"])
    revoked = await act(admin, alice.user, "revoke-keys")
    assert (revoked.status, revoked.body["before"]) == (200, {"activeKeys": [made["key"]["keyId"]]})
    assert (await bot.get("/balances")).code == "UNAUTHENTICATED"
    assert (await alice.get("/balances")).status == 200


async def test_ended_sessions_and_removed_totp_are_acts(exchange: Exchange) -> None:
    """Every token of the user dies, also those that name no session; the next login needs no code; a second time there is none."""
    admin, alice = await exchange.user(is_admin=True), await registered(exchange)
    app, old = await with_totp(alice), Client(alice.session, alice.url, exchange.services.tokens.issue(alice.user))
    ended = await act(admin, alice.user, "end-sessions")
    assert (ended.status, len(ended.body["before"]["sessions"])) == (200, 1)
    for client in (alice, old):
        await eventually(lambda client=client: _is_refused(client))
    assert (await log_in(exchange)).details == {"reason": "TOTP_REQUIRED"}
    assert (await act(admin, alice.user, "remove-totp")).body["after"] == {"isTotpEnabled": False}
    assert (await act(admin, alice.user, "remove-totp")).code == "NOT_FOUND"
    assert (await log_in(exchange)).status == 200
    assert app.recovery_codes
    for name in ("end-sessions", "remove-totp"):
        assert (await act(admin, 999_999, name)).code == "NOT_FOUND"


async def _is_refused(client: Client) -> bool:
    return (await client.get("/balances")).status == 401


async def test_a_correction_is_posted_once_and_the_books_stay_exact(exchange: Exchange) -> None:
    """201, then the same with Idempotent-Replayed; the user's ledger shows it; no key, no correction."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    given = await correct(admin, alice.user, "-2500.5")
    again = await correct(admin, alice.user, "-2500.5")
    assert (given.status, again.status, given.body) == (201, 201, again.body)
    assert (given.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert (await alice.get("/balances")).body[0]["total"] == "7499.5"
    entry = (await alice.get("/ledger")).body["data"][0]
    assert (entry["type"], entry["amount"], entry["balanceAfter"]) == ("CORRECTION", "-2500.5", "7499.5")
    assert (await correct(admin, alice.user, "-1")).code == "IDEMPOTENCY_CONFLICT"
    refused = await correct(admin, alice.user, "1", None)
    assert (refused.code, refused.details) == ("INVALID_REQUEST", {"field": "Idempotency-Key"})
    short = await correct(admin, alice.user, "-7500", "more")
    assert (short.status, short.code, short.details) == (
        422,
        "INSUFFICIENT_BALANCE",
        {"requested": "7500", "available": "7499.5"},
    )
    assert (await correct(admin, 999_999, "1", "other")).code == "NOT_FOUND"
    session = await exchange.kept("audit")
    assert await audit(session) == []
    assert await deep_audit(session) == []


@pytest.mark.parametrize(
    "reason",
    ["", " ", "\t", "a\nb", "a\x00b", "a\x1b[31mb", "x" * 501, 5, None, ["a"], "\x7f"],
)
async def test_an_act_without_a_readable_reason_is_refused(exchange: Exchange, reason: Any) -> None:
    """INVALID_REQUEST naming the field; nothing is done or logged."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    for name in ("freeze", "unfreeze", "revoke-keys", "end-sessions", "remove-totp", "revoke-admin"):
        refused = await act(admin, alice.user, name, {"reason": reason})
        assert (refused.status, refused.code, refused.details["field"]) == (400, "INVALID_REQUEST", "reason")
    assert (await correct(admin, alice.user, "1", reason=reason)).code == "INVALID_REQUEST"
    assert await exchange.value("SELECT count(*) FROM operator_acts") == 0


@pytest.mark.parametrize("amount", ["1e9", "NaN", "-", "", "0", "--1", "+1", "1" * 40, "-0.0000001", 5, None, "1\n"])
async def test_a_hostile_amount_corrects_nothing(exchange: Exchange, amount: Any) -> None:
    """INVALID_REQUEST, before any arithmetic."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    assert (await correct(admin, alice.user, amount)).code == "INVALID_REQUEST"
    assert (await alice.get("/balances")).body[0]["total"] == "10000"


async def test_the_log_names_who_what_and_why(exchange: Exchange) -> None:
    """Newest first, by user, by market, in pages; a reason comes back as it was written, whatever is in it."""
    admin, alice = await exchange.user(is_admin=True), await exchange.user()
    await act(admin, alice.user, "freeze", {"reason": HOSTILE})
    await act(admin, alice.user, "unfreeze", {"reason": "\u202egnol \U0001f600 'q' \"d\""})
    await admin.call("POST", "/admin/markets/BTC-PERP/status", {"status": "HALTED", "reason": "drill"})
    log = (await admin.get("/admin/acts")).body["data"]
    assert [each["action"] for each in log] == ["SET_STATUS", "UNFREEZE", "FREEZE"]
    assert (log[2]["reason"], log[2]["operatorId"], log[2]["shell"]) == (HOSTILE, str(admin.user), None)
    assert [each["actId"] for each in (await admin.get(f"/admin/acts?userId={alice.user}")).body["data"]] == [
        log[1]["actId"],
        log[2]["actId"],
    ]
    assert [each["actId"] for each in (await admin.get("/admin/acts?marketId=BTC-PERP")).body["data"]] == [
        log[0]["actId"]
    ]
    first = (await admin.get("/admin/acts?limit=2")).body
    assert (await admin.get(f"/admin/acts?limit=2&cursor={first['nextCursor']}")).body["data"] == log[2:]
    for wrong in ("userId=x", "userId=-3", "userId=", "nothing=1", "cursor=foreign", "order=up"):
        assert (await admin.get(f"/admin/acts?{wrong}")).code == "INVALID_REQUEST", wrong
