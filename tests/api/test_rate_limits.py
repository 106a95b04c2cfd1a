"""Rate limits: by user with a token, by address without; reported in headers, refused with 429."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

import pytest

from api.access.api_keys import new_secret
from api.access.budgets import Budget, Rate
from tests.api.exchange import Client, Exchange, Reply

HOUR = 3_600
ALICE = {"email": "alice@example.com", "password": "correct horse"}


@asynccontextmanager
async def limited(database: str, trusts_loopback: bool = False, **rates: int) -> AsyncIterator[Exchange]:
    """An exchange with this number of calls an hour in the named budgets."""
    named = {Budget(name.replace("_", "-")): Rate(calls, HOUR) for name, calls in rates.items()}
    proxies = (ip_network("127.0.0.0/8"),) if trusts_loopback else ()
    exchange = await Exchange(database).start(rates=named, trusted_proxies=proxies)
    yield exchange
    await exchange.stop()


def _is_refusal(reply: Reply, budget: Budget, calls: int) -> bool:
    """429 RATE_LIMITED that says which budget is used up, and when to come back."""
    header = re.fullmatch(rf'"{budget}";r=0;t=(\d+)', reply.headers["RateLimit"])
    assert (reply.status, reply.code, reply.details["limit"]) == (429, "RATE_LIMITED", budget)
    assert reply.headers["RateLimit-Policy"] == f'"{budget}";q={calls};w={HOUR}'
    assert header is not None
    assert header[1] == reply.headers["Retry-After"] == str(reply.details["retryAfterSeconds"])
    assert 0 < int(header[1]) <= HOUR
    return True


async def test_orders_are_limited_by_user(database: str) -> None:
    """The third of two is refused and not stored; another user is served; the answers count down."""
    async with limited(database, orders=2) as exchange:
        alice, bob = await exchange.user(), await exchange.user()
        accepted = [await alice.order() for _ in range(2)]
        assert [reply.headers["RateLimit"][:12] for reply in accepted] == ['"orders";r=1', '"orders";r=0']
        assert _is_refusal(await alice.order(), Budget.ORDERS, 2)
        assert (await bob.order()).status == 202
        assert await exchange.value("SELECT count(*) FROM orders") == 3


async def test_a_refused_order_counts_too(database: str) -> None:
    """Nonsense costs us as much as an order: it is counted before its body is read."""
    async with limited(database, orders=2) as exchange:
        alice = await exchange.user()
        for _ in range(2):
            assert (await alice.order(quantity="nonsense")).code == "INVALID_ORDER"
        assert _is_refusal(await alice.order(), Budget.ORDERS, 2)


async def test_an_amend_counts_as_an_order(database: str) -> None:
    """Placed once and amended once of two: the next amend is refused, the cancel is not."""
    async with limited(database, orders=2) as exchange:
        alice = await exchange.user()
        path = f"/orders/{(await alice.order()).body['orderId']}"
        assert (await alice.call("PUT", path, {"price": "59000"})).headers["RateLimit"].startswith('"orders";r=0')
        assert _is_refusal(await alice.call("PUT", path, {"price": "58000"}), Budget.ORDERS, 2)
        assert (await alice.call("DELETE", path)).status == 202


async def test_cancels_and_reads_have_budgets_of_their_own(database: str) -> None:
    """An account over its order limit can still cancel and read its orders."""
    async with limited(database, orders=1, cancels=2, requests=3) as exchange:
        alice = await exchange.user()  # the deposit is the first request
        placed = await alice.order()
        assert (await alice.order()).status == 429
        assert (await alice.cancel(placed.body["orderId"])).status == 202
        assert (await alice.get("/orders")).headers["RateLimit"].startswith('"requests";r=1')
        assert (await alice.get("/balances")).status == 200
        assert _is_refusal(await alice.get("/balances"), Budget.REQUESTS, 3)
        assert (await alice.cancel(placed.body["orderId"])).status in {202, 409}
        assert _is_refusal(await alice.cancel(placed.body["orderId"]), Budget.CANCELS, 2)


async def test_keys_of_a_user_share_one_budget(database: str) -> None:
    """A limit that each key multiplied would be none."""
    async with limited(database, requests=4) as exchange:
        alice = await exchange.user(None)
        for _ in range(2):
            made = await alice.call("POST", "/api-keys", {"label": "a bot", "scopes": ["read"]})
            assert (await replace(alice, token=made.body["secret"]).get("/balances")).status == 200
        assert _is_refusal(await alice.get("/balances"), Budget.REQUESTS, 4)


async def test_registrations_and_logins_are_limited_by_address(database: str) -> None:
    """Neither account farming nor a dictionary of passwords and addresses; each has its budget."""
    async with limited(database, registrations=2, logins=3) as exchange:
        nobody = exchange.anonymous()
        for name in ("a", "b"):
            reply = await nobody.call("POST", "/auth/register", ALICE | {"email": f"{name}@example.com"})
            assert reply.status == 201
        assert _is_refusal(await nobody.call("POST", "/auth/register", ALICE), Budget.REGISTRATIONS, 2)
        assert (await nobody.call("POST", "/auth/login", ALICE | {"email": "a@example.com"})).status == 200
        for _ in range(2):
            assert (await nobody.call("POST", "/auth/login", {})).status == 400
        assert _is_refusal(await nobody.call("POST", "/auth/login", ALICE), Budget.LOGINS, 3)


async def test_passwords_of_one_user_are_not_tried_out(database: str) -> None:
    """Counted by e-mail address in any case of its letters, the same for a known as for an unknown user; others log in."""
    async with limited(database, login_attempts=2) as exchange:
        nobody = exchange.anonymous()
        await nobody.call("POST", "/auth/register", ALICE)
        for email in ("alice@example.com", "bob@example.com"):
            for spelt in (email, email.upper()):
                wrong = await nobody.call("POST", "/auth/login", {"email": spelt, "password": "wrong horse"})
                assert wrong.status == 401
            right = await nobody.call("POST", "/auth/login", {"email": email, "password": ALICE["password"]})
            assert _is_refusal(right, Budget.LOGIN_ATTEMPTS, 2)
        assert (await nobody.call("POST", "/auth/login", ALICE | {"email": "carol@example.com"})).status == 401


async def test_who_calls_without_a_token_is_limited_by_address(database: str) -> None:
    """Public routes, probes and pages each have a budget; a user at the same address is not affected."""
    async with limited(database, public=2, probes=1, pages=1) as exchange:
        nobody, alice = exchange.anonymous(), await exchange.user(None)
        assert [(await nobody.get(path)).status for path in ("/markets", "/markets/BTC-PERP")] == [200, 200]
        assert _is_refusal(await nobody.get("/markets/ETH-PERP"), Budget.PUBLIC, 2)
        assert (await nobody.get("/livez")).status == 200
        assert _is_refusal(await nobody.get("/readyz"), Budget.PROBES, 1)
        assert (await nobody.get("/")).status == 200
        assert _is_refusal(await nobody.get("/openapi.json"), Budget.PAGES, 1)
        assert (await alice.get("/balances")).status == 200


async def test_tokens_and_keys_are_not_tried_out(database: str) -> None:
    """After that many refusals 429; then no key from this address is looked up, and a client with a token is still served."""
    async with limited(database, strangers=3) as exchange:
        alice = await exchange.user(None)
        for token in ("forged", new_secret(), None):
            assert (await replace(alice, token=token).get("/balances")).status == 401
        for token in ("forged", new_secret(), None):
            assert _is_refusal(await replace(alice, token=token).get("/balances"), Budget.UNAUTHENTICATED, 3)
        assert (await alice.get("/balances")).status == 200


async def test_behind_a_trusted_proxy_each_client_has_its_own_budget(database: str) -> None:
    """By what the proxy says; of IPv6 a customer's whole network is one address."""
    async with limited(database, trusts_loopback=True, public=1) as exchange:
        nobody = exchange.anonymous()

        async def status_from(forwarded: str) -> int:
            return (await nobody.call("GET", "/markets", headers={"X-Forwarded-For": forwarded})).status

        assert [await status_from("192.0.2.1"), await status_from("192.0.2.2")] == [200, 200]
        assert [await status_from("192.0.2.1"), await status_from("9.9.9.9, 192.0.2.1")] == [429, 429]
        assert [await status_from("2001:db8::1"), await status_from("2001:db8:0:1::1")] == [200, 200]
        assert await status_from("2001:db8::ffff") == 429
        assert [await status_from("::ffff:192.0.2.1"), await status_from("nonsense")] == [429, 200]


async def test_a_writer_of_forwarded_addresses_does_not_escape(database: str) -> None:
    """Without trusted proxies the peer address counts, whatever its headers say."""
    async with limited(database, public=2) as exchange:
        nobody = exchange.anonymous()
        written = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(4)]
        statuses = [(await nobody.call("GET", "/markets", headers=headers)).status for headers in written]
        assert statuses == [200, 200, 429, 429]


async def test_without_a_rate_nothing_is_counted_or_reported(exchange: Exchange) -> None:
    """`off` costs nothing and says nothing."""
    alice: Client = await exchange.user()
    for reply in [await alice.order(), await alice.get("/markets")]:
        assert not {"RateLimit", "RateLimit-Policy"} & reply.headers.keys()


async def test_a_batch_that_never_fits_says_so_and_costs_no_order(database: str) -> None:
    """400 with the limit at once, however often; single orders keep their whole budget. One call of the other requests pays."""
    async with limited(database, orders=3, requests=4) as exchange:
        alice = await exchange.user()
        bid = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
        for _ in range(3):
            refused = await alice.call("POST", "/orders/batch", {"orders": [bid] * 4})
            assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
            assert refused.details == {"limit": "orders", "calls": 3, "windowSeconds": HOUR, "got": 4}
        assert _is_refusal(await alice.call("POST", "/orders/batch", {"orders": [bid] * 4}), Budget.REQUESTS, 4)
        assert [(await alice.order()).status for _ in range(4)] == [202, 202, 202, 429]
        assert await exchange.value("SELECT count(*) FROM orders") == 3


async def test_a_batch_is_counted_whole_or_not_at_all(database: str) -> None:
    """Two of three calls are left: a batch of three is refused for now and takes none of them, one of two is accepted."""
    async with limited(database, orders=3) as exchange:
        alice = await exchange.user()
        bid = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
        await alice.order()
        refused = await alice.call("POST", "/orders/batch", {"orders": [bid] * 3})
        assert (refused.status, refused.code, refused.details["limit"]) == (429, "RATE_LIMITED", "orders")
        assert refused.headers["RateLimit"].startswith('"orders";r=2;')
        accepted = await alice.call("POST", "/orders/batch", {"orders": [bid] * 2})
        assert [each["error"] for each in accepted.body["orders"]] == [None, None]
        assert _is_refusal(await alice.order(), Budget.ORDERS, 3)


async def test_a_countdown_and_a_cancel_all_count_as_cancels(database: str) -> None:
    """Also when no order is left to place; a countdown of all markets counts once for every ten of them."""
    async with limited(database, orders=1, cancels=4) as exchange:
        alice = await exchange.user()
        assert (await alice.order()).status == 202
        body = {"countdownMs": 5_000}
        calls = [
            await alice.call("POST", "/orders/countdown", body | {"marketId": "BTC-PERP"}),
            await alice.call("DELETE", "/orders"),
            await alice.call("POST", "/orders/countdown", body),
            await alice.call("POST", "/orders/countdown", body),
        ]
        assert [reply.status for reply in calls] == [200, 202, 200, 200]
        assert calls[0].headers["RateLimit"].startswith('"cancels";r=3;')
        assert _is_refusal(await alice.call("POST", "/orders/countdown", body), Budget.CANCELS, 4)
        assert _is_refusal(await alice.call("DELETE", "/orders"), Budget.CANCELS, 4)


async def test_a_countdown_of_many_markets_takes_a_call_for_every_ten(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty-one markets take four of five calls; a budget of three is taken whole."""
    for calls, left in ((5, 1), (3, 0)):
        async with limited(database, cancels=calls) as exchange:
            alice = await exchange.user()
            monkeypatch.setattr(exchange.services.registry, "by_name", dict.fromkeys(range(31)))
            reply = await alice.call("POST", "/orders/countdown", {"countdownMs": 5_000})
            assert reply.headers["RateLimit"].startswith(f'"cancels";r={left};')
