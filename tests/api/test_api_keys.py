"""API keys: made by a user alone, shown once, good for what their scopes say, and of no use once revoked."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

from api.access.api_keys import BELIEVED_S, ApiKeys, new_secret
from api.route import Access
from api.routes import ALL_ROUTES
from schemas.rest.api_keys import Scope
from store.users.api_keys import KEYS_MAX
from tests.api.exchange import Client, Exchange, Reply, example_path, now
from tests.eventually import eventually

FOR_NO_KEY = {
    ("POST", "/deposits"),
    ("POST", "/api-keys"),
    ("GET", "/api-keys"),
    ("DELETE", "/api-keys/{keyId}"),
    ("POST", "/auth/password"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/totp"),
    ("POST", "/auth/totp/confirm"),
    ("DELETE", "/auth/totp"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/{sessionId}"),
}
NOT_READ = {
    ("POST", "/orders"): Scope.TRADE,
    ("PUT", "/orders/{orderId}"): Scope.TRADE,
    ("DELETE", "/orders/{orderId}"): Scope.TRADE,
    ("DELETE", "/orders"): Scope.TRADE,
    ("DELETE", "/orders/by-client-id/{clientOrderId}"): Scope.TRADE,
    ("POST", "/orders/batch"): Scope.TRADE,
    ("POST", "/orders/countdown"): Scope.TRADE,
    ("POST", "/positions/{marketId}/leverage"): Scope.TRADE,
    ("POST", "/positions/{marketId}/close"): Scope.TRADE,
    ("POST", "/withdrawals"): Scope.WITHDRAW,
}
CHANGES_NOTHING = ("POST", "/orders/preview")


async def make(user: Client, *scopes: str, **fields: Any) -> Reply:
    """Make a key of these scopes, all three when none is named."""
    named = {"label": "a bot", "scopes": list(scopes or ("read", "trade", "withdraw"))}
    return await user.call("POST", "/api-keys", named | fields)


async def bot_of(user: Client, *scopes: str, **fields: Any) -> Client:
    """Somebody who calls with a new key of the user's."""
    made = await make(user, *scopes, **fields)
    assert made.status == 201, made.body
    return replace(user, token=made.body["secret"])


def test_each_route_says_which_scope_opens_it() -> None:
    """Reading is one scope, trading another, taking money out a third; administration and keys themselves have none."""
    for route in ALL_ROUTES:
        named = (route.method, route.path)
        if route.access is not Access.USER or named in FOR_NO_KEY:
            assert route.scope is None, named
        else:
            assert route.scope is NOT_READ.get(named, Scope.READ), named
            assert route.scope is not Scope.READ or route.method == "GET" or named == CHANGES_NOTHING, named


async def test_a_key_acts_for_its_user(exchange: Exchange) -> None:
    """A key of all scopes reads, trades and withdraws in its user's name."""
    alice = await exchange.user()
    bot = await bot_of(alice)
    placed = await bot.order()
    assert placed.status == 202
    assert [order["orderId"] for order in (await bot.get("/orders")).body] == [placed.body["orderId"]]
    assert (await bot.withdraw("1")).status == 201
    assert (await alice.get("/orders")).body == (await bot.get("/orders")).body


async def test_a_key_does_what_its_scopes_say_and_nothing_else(exchange: Exchange) -> None:
    """FORBIDDEN on every route of another scope, and on every route that no key opens."""
    alice = await exchange.user()
    bots = {scope: await bot_of(alice, scope) for scope in Scope}
    for route in ALL_ROUTES:
        if route.access is Access.PUBLIC:
            continue
        path = example_path(route.path, "1")
        for scope, bot in bots.items():
            reply = await bot.call(route.method, path)
            is_open = route.scope is scope
            assert (reply.code == "FORBIDDEN") != is_open, (route.method, path, scope, reply.body)
            assert is_open or reply.status == 403


async def test_a_key_never_makes_a_key_nor_logs_in_nor_administers(exchange: Exchange) -> None:
    """A stolen key gains nothing: not even an administrator's key opens what needs a login."""
    boss = await exchange.user(is_admin=True)
    bot = await bot_of(boss)
    assert (await make(bot)).code == "FORBIDDEN"
    assert (await bot.call("DELETE", "/api-keys/1")).code == "FORBIDDEN"
    assert (await bot.call("POST", "/admin/drain", {})).code == "FORBIDDEN"
    login = await bot.call("POST", "/auth/login", {"email": "user1@example.com", "password": bot.token})
    assert login.code == "UNAUTHENTICATED"
    assert await exchange.value("SELECT count(*) FROM api_keys") == 1


async def test_the_secret_is_shown_once_and_kept_as_its_hash(exchange: Exchange) -> None:
    """Neither the list nor the table holds it; 256 random bits after a prefix."""
    alice = await exchange.user(None)
    made = await make(alice, "read", expiresAt="2999-01-01T00:00:00Z", allowedAddresses=["192.0.2.0/24", "2001:db8::1"])
    secret = made.body["secret"]
    assert len(secret) == len("perp_") + 43
    listed = await alice.get("/api-keys")
    assert listed.body["data"] == [made.body["key"]]
    assert secret not in str(listed.body)
    assert made.body["key"]["allowedAddresses"] == ["192.0.2.0/24", "2001:db8::1/128"]
    stored = await exchange.value("SELECT k::text FROM api_keys k")
    assert secret not in stored
    assert sha256(secret.encode()).hexdigest() in stored


async def test_a_revoked_key_opens_nothing_in_any_process(exchange: Exchange) -> None:
    """Both API processes have believed the key; a second after it is revoked in one it is refused by both."""
    alice = await exchange.user()
    other = await Exchange(exchange.dsn).start()
    here = await bot_of(alice)
    there = replace(here, url=f"http://127.0.0.1:{other.port}")
    for bot in (here, there):
        assert (await bot.get("/balances")).status == 200
    revoked = await alice.call("DELETE", "/api-keys/1")
    assert revoked.status == 200
    assert revoked.body["revokedAt"]
    for bot in (here, there):

        async def is_refused(bot: Client = bot) -> bool:
            return (await bot.get("/balances")).status == 401

        assert await eventually(is_refused)
    assert (await alice.call("DELETE", "/api-keys/1")).body == revoked.body
    await other.stop()


async def test_a_look_up_is_believed_for_a_second_and_no_longer(exchange: Exchange) -> None:
    """The bound on how long a revoked key lives, by a clock that the test moves."""
    alice, clock = await exchange.user(), [100.0]
    secret = (await bot_of(alice)).token
    assert secret is not None
    keys = ApiKeys(exchange.services.database, now, lambda: clock[0])
    assert keys.known(secret) is None
    key = await keys.look_up(secret)
    assert key is not None
    await alice.call("DELETE", "/api-keys/1")
    clock[0] += BELIEVED_S - 0.001
    assert keys.known(secret) == key
    clock[0] += 0.001
    assert keys.known(secret) is None
    assert await keys.look_up(secret) is None
    assert keys.known(secret) is None


async def test_a_key_is_asked_for_once_however_many_requests_carry_it(exchange: Exchange) -> None:
    """A thousand requests waiting for an expired look-up do not become a thousand queries; nor does one that leaves spoil it."""
    alice = await exchange.user()
    secret = (await bot_of(alice)).token
    assert secret is not None
    keys = ApiKeys(exchange.services.database, now, lambda: 0.0)
    waiting = [asyncio.create_task(keys.look_up(secret)) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(keys._lookups) == 1
    waiting.pop().cancel()
    assert {key.user for key in await asyncio.gather(*waiting) if key is not None} == {alice.user}
    assert not keys._lookups


async def test_a_key_expires_also_while_it_is_believed(exchange: Exchange) -> None:
    """`expiresAt` is checked at every call, not at the look-up alone."""
    alice, time_us = await exchange.user(), [now()]
    secret = (await bot_of(alice, expiresAt="2999-01-01T00:00:00Z")).token
    assert secret is not None
    keys = ApiKeys(exchange.services.database, lambda: time_us[0], lambda: 0.0)
    assert await keys.look_up(secret) is not None
    assert keys.known(secret) is not None
    time_us[0] = type(time_us[0])(32_472_144_000_000_000)
    assert keys.known(secret) is None
    assert await keys.look_up(secret) is None


async def test_a_key_works_from_its_addresses_alone(exchange: Exchange) -> None:
    """From elsewhere it is refused like an unknown key, orders and cancels too; a network and a single address count."""
    alice = await exchange.user()
    here = await bot_of(alice, allowedAddresses=["10.0.0.0/8", "127.0.0.0/8"])
    single = await bot_of(alice, allowedAddresses=["127.0.0.1"])
    elsewhere = await bot_of(alice, allowedAddresses=["10.0.0.0/8", "::1"])
    assert (await here.get("/balances")).status == 200
    assert (await single.get("/balances")).status == 200
    refused, unknown = await elsewhere.get("/balances"), await replace(alice, token=new_secret()).get("/balances")
    assert (refused.status, refused.body["error"]["message"]) == (401, unknown.body["error"]["message"])
    placed = await here.order()
    assert placed.status == 202
    await elsewhere.get("/balances")  # now its key is known to the process, as a key that goes the quick way would be
    assert (await elsewhere.order()).status == 401
    assert (await elsewhere.cancel(placed.body["orderId"])).status == 401


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy(database: str) -> None:
    """A client that sets X-Forwarded-For keeps its own address, unless the operator has named it as a proxy."""
    for trusted, status in ((False, 401), (True, 200)):
        networks = (ip_network("127.0.0.1/32"),) if trusted else ()
        exchange = await Exchange(database).start(trusted_proxies=networks)
        bot = await bot_of(await exchange.user(None), allowedAddresses=["192.0.2.7"])
        reply = await bot.call("GET", "/balances", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.7"})
        assert reply.status == status
        assert (await bot.call("GET", "/balances", headers={"X-Forwarded-For": "192.0.2.7, 6.6.6.6"})).status == 401
        await exchange.stop()


async def test_what_a_key_may_not_be_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST for no, unknown or repeated scopes, for an invalid network, for a time in the past."""
    alice = await exchange.user(None)
    bad: list[dict[str, Any]] = [
        {"scopes": []},
        {"scopes": ["all"]},
        {"scopes": ["read", "read"]},
        {"scopes": "read"},
        {"label": ""},
        {"label": "a\nb"},
        {"label": "a" * 65},
        {"allowedAddresses": ["10.0.0.1/8"]},
        {"allowedAddresses": ["10.0.0.0/33"]},
        {"allowedAddresses": ["example.com"]},
        {"allowedAddresses": ["::ffff:1.2.3.4/8"]},
        {"allowedAddresses": ["10.0.0.1"] * 21},
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"expiresAt": "2999-01-01T00:00:00"},
        {"expiresAt": "0001-01-01T00:00:00+14:00"},
        {"expiresAt": "9999-12-31T23:59:59.999999-14:00"},
        {"userId": "1"},
    ]
    for fields in bad:
        reply = await make(alice, **fields)
        assert (reply.status, reply.code) == (400, "INVALID_REQUEST"), fields
    assert (await make(alice, expiresAt="9998-12-31T23:59:59.999999Z")).status == 201
    assert await exchange.value("SELECT count(*) FROM api_keys") == 1


async def test_a_user_has_so_many_keys_and_no_more(exchange: Exchange) -> None:
    """API_KEY_LIMIT_REACHED also when they are made at once; revoking one makes room."""
    alice = await exchange.user(None)
    made = await asyncio.gather(*(make(alice, "read") for _ in range(KEYS_MAX + 5)))
    assert sorted(reply.status for reply in made) == [201] * KEYS_MAX + [409] * 5
    assert {reply.code for reply in made if reply.status == 409} == {"API_KEY_LIMIT_REACHED"}
    first = (await alice.get("/api-keys?limit=1")).body
    assert (await alice.get(f"/api-keys?limit=1&cursor={first['nextCursor']}")).body["data"][0] != first["data"][0]
    await alice.call("DELETE", f"/api-keys/{first['data'][0]['keyId']}")
    assert (await make(alice, "read")).status == 201


async def test_another_users_key_is_as_unknown_as_none(exchange: Exchange) -> None:
    """NOT_FOUND; nobody lists or revokes another user's keys."""
    alice, bob = await exchange.user(None), await exchange.user(None)
    bot = await bot_of(alice)
    for key in ("1", "99", "0", "01", "x", "9" * 40, "%C3%A9"):
        assert (await bob.call("DELETE", f"/api-keys/{key}")).code == "NOT_FOUND", key
    assert (await bob.get("/api-keys")).body["data"] == []
    assert (await bot.get("/balances")).status == 200
