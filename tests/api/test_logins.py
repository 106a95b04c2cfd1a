"""Sessions: a login starts one, and logout, a new password and its owner end it, in every process."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from api.access.budgets import Budget, Rate
from tests.api.exchange import Client, Exchange
from tests.api.users import OTHER, PASSWORD, entered, log_in, registered
from tests.eventually import eventually

CHANGE = {"password": PASSWORD, "newPassword": OTHER}


@pytest_asyncio.fixture(name="second")
async def second_process(exchange: Exchange, database: str) -> AsyncIterator[Exchange]:
    """Another API process on the same database."""
    del exchange
    listening = await Exchange(database).start()
    yield listening
    await listening.stop()


async def status_of(client: Client) -> int:
    """Of a read with the client's token."""
    return (await client.get("/balances")).status


def at(process: Exchange, client: Client) -> Client:
    """The same token at another process."""
    return Client(process.session, process.anonymous().url, client.token, client.user)


async def sessions_of(client: Client) -> list[dict[str, object]]:
    """The sessions in force, as the user sees them."""
    data: list[dict[str, object]] = (await client.get("/auth/sessions")).body["data"]
    return data


async def test_after_logout_the_token_is_dead_in_every_process(exchange: Exchange, second: Exchange) -> None:
    """204, then 401 at once here and a moment later elsewhere; other sessions of the user go on."""
    alice, phone = await registered(exchange), await entered(exchange)
    there = at(second, alice)
    assert [await status_of(each) for each in (alice, there, phone)] == [200, 200, 200]
    assert (await alice.call("POST", "/auth/logout")).status == 204
    assert await status_of(alice) == 401
    await eventually(lambda: _is(there, 401))
    assert (await alice.call("POST", "/auth/logout")).status == 401
    assert [await status_of(phone), await status_of(at(second, phone))] == [200, 200]


async def test_logout_everywhere_ends_every_session(exchange: Exchange, second: Exchange) -> None:
    """Also those of the release before, whose tokens name no session; nobody else's."""
    alice, phone, bob = await registered(exchange), await entered(exchange), await registered(exchange, "bob@a.b")
    old = Client(alice.session, alice.url, exchange.services.tokens.issue(alice.user), alice.user)
    assert await status_of(old) == 200
    assert (await phone.call("POST", "/auth/logout", {"everywhere": True})).status == 204
    for client in (alice, phone, old):
        assert await status_of(client) == 401
        await eventually(lambda client=client: _is(at(second, client), 401))
    assert [await status_of(bob), await status_of(at(second, bob))] == [200, 200]
    assert await status_of(await entered(exchange)) == 200


async def test_a_token_of_the_release_before_is_ended_with_all_of_its_kind(exchange: Exchange) -> None:
    """It names no session, so its logout ends those that name none, and no others."""
    alice = await registered(exchange)
    first, other = (Client(alice.session, alice.url, exchange.services.tokens.issue(alice.user)) for _ in range(2))
    assert (await first.call("POST", "/auth/logout")).status == 204
    assert [await status_of(each) for each in (first, other, alice)] == [401, 401, 200]


async def test_a_new_password_kills_every_other_token(exchange: Exchange, second: Exchange) -> None:
    """The caller's goes on, the old password logs nobody in, API keys stay."""
    alice, phone = await registered(exchange), await entered(exchange)
    key = (await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["read"]})).body["secret"]
    assert (await alice.call("POST", "/auth/password", CHANGE)).status == 204
    assert [await status_of(alice), await status_of(phone)] == [200, 401]
    await eventually(lambda: _is(at(second, phone), 401))
    assert (await log_in(exchange)).code == "UNAUTHENTICATED"
    assert await status_of(await entered(exchange, password=OTHER)) == 200
    assert await status_of(Client(alice.session, alice.url, key)) == 200


async def test_a_wrong_password_changes_nothing(exchange: Exchange) -> None:
    """401 with the reason; the token lives on, and so do the others."""
    alice, phone = await registered(exchange), await entered(exchange)
    refused = await alice.call("POST", "/auth/password", CHANGE | {"password": "wrong horse"})
    assert (refused.status, refused.code, refused.details) == (401, "UNAUTHENTICATED", {"reason": "WRONG_PASSWORD"})
    for body in ({}, {"password": PASSWORD}, CHANGE | {"newPassword": "short"}, CHANGE | {"user": "2"}):
        assert (await alice.call("POST", "/auth/password", body)).code == "INVALID_REQUEST", body
    assert [await status_of(alice), await status_of(phone), (await log_in(exchange)).status] == [200, 200, 200]


async def test_guesses_with_a_stolen_token_count_as_logins(database: str) -> None:
    """RATE_LIMITED by the e-mail address, whichever of the two routes they use."""
    exchange = await Exchange(database).start(rates={Budget.LOGIN_ATTEMPTS: Rate(4, 3_600)})
    alice = await registered(exchange)
    guess = CHANGE | {"password": "wrong horse"}
    for path in ("/auth/password", "/auth/password"):
        assert (await alice.call("POST", path, guess)).code == "UNAUTHENTICATED"
    assert (await log_in(exchange, password="wrong horse")).code == "UNAUTHENTICATED"
    for limited in (await alice.call("POST", "/auth/password", CHANGE), await log_in(exchange)):
        assert (limited.code, limited.details["limit"]) == ("RATE_LIMITED", "login-attempts")
    assert await status_of(alice) == 200
    await exchange.stop()


async def test_of_two_racing_password_changes_one_holds(exchange: Exchange) -> None:
    """Both knew the old password; the loser is told so, and the winner's is the password."""
    alice = await registered(exchange)
    wanted = [f"horse number {number}" for number in range(4)]
    replies = await asyncio.gather(
        *(alice.call("POST", "/auth/password", {"password": PASSWORD, "newPassword": word}) for word in wanted)
    )
    assert sorted(reply.status for reply in replies) == [204, 401, 401, 401]
    won = wanted[[reply.status for reply in replies].index(204)]
    assert [(await log_in(exchange, password=word)).status for word in wanted] == [
        200 if word == won else 401 for word in wanted
    ]


async def test_no_login_by_the_old_password_outlives_its_change(exchange: Exchange) -> None:
    """Logins that race with the change are refused or ended by it: no token of theirs is alive afterwards."""
    alice = await registered(exchange)
    logins = [asyncio.create_task(log_in(exchange)) for _ in range(6)]
    changed = await alice.call("POST", "/auth/password", CHANGE)
    assert changed.status == 204
    for reply in await asyncio.gather(*logins):
        if reply.status == 200:
            assert await status_of(Client(alice.session, alice.url, reply.body["token"])) == 401
    assert len(await sessions_of(alice)) == 1


async def test_a_user_sees_and_ends_their_sessions(exchange: Exchange) -> None:
    """Newest first, in pages, with the address and program of the login; one that is ended is listed no more."""
    alice = await registered(exchange)
    agent = "Firefox <script>alert(1)</script>" + "x" * 300
    reply = await exchange.anonymous().call(
        "POST", "/auth/login", {"email": "alice@example.com", "password": PASSWORD}, headers={"User-Agent": agent}
    )
    phone = Client(alice.session, alice.url, reply.body["token"])
    newest, oldest = await sessions_of(alice)
    assert newest.keys() == {"sessionId", "createdAt", "expiresAt", "address", "userAgent", "isCurrent"}
    assert [newest["isCurrent"], oldest["isCurrent"]] == [False, True]
    assert (newest["address"], newest["userAgent"]) == ("127.0.0.1", agent[:256])
    first = await alice.get("/auth/sessions?limit=1")
    rest = await alice.get(f"/auth/sessions?cursor={first.body['nextCursor']}")
    assert [first.body["data"], rest.body["data"]] == [[newest], [oldest]]
    assert (await alice.call("DELETE", f"/auth/sessions/{newest['sessionId']}")).status == 204
    assert (await status_of(phone), await sessions_of(alice)) == (401, [oldest])
    assert (await alice.call("DELETE", f"/auth/sessions/{newest['sessionId']}")).code == "NOT_FOUND"
    assert (await alice.call("DELETE", f"/auth/sessions/{oldest['sessionId']}")).status == 204
    assert await status_of(alice) == 401


async def test_nobody_ends_or_sees_the_session_of_another(exchange: Exchange) -> None:
    """NOT_FOUND, as for one that does not exist."""
    alice, bob = await registered(exchange), await registered(exchange, "bob@a.b")
    theirs = (await sessions_of(alice))[0]["sessionId"]
    for name in (theirs, f"-{alice.user}", "0", "999999", "9" * 30, "x", "%00"):
        assert (await bob.call("DELETE", f"/auth/sessions/{name}")).code == "NOT_FOUND", name
    assert (len(await sessions_of(bob)), await status_of(alice)) == (1, 200)


async def test_api_keys_reach_none_of_these_routes(exchange: Exchange) -> None:
    """FORBIDDEN with every scope: who has stolen a key changes no password and ends no session."""
    alice = await registered(exchange)
    scopes = ["read", "trade", "withdraw"]
    key = (await alice.call("POST", "/api-keys", {"label": "bot", "scopes": scopes})).body["secret"]
    bot = Client(alice.session, alice.url, key)
    for method, path, body in (
        ("POST", "/auth/password", CHANGE),
        ("POST", "/auth/logout", {"everywhere": True}),
        ("GET", "/auth/sessions", None),
        ("DELETE", "/auth/sessions/1", None),
        ("POST", "/auth/totp", None),
        ("POST", "/auth/totp/confirm", {"code": "123456"}),
        ("DELETE", "/auth/totp", {"code": "123456"}),
    ):
        assert (await bot.call(method, path, body)).code == "FORBIDDEN", path
    assert await status_of(alice) == 200


async def test_a_process_that_hears_nothing_looks_every_token_up(exchange: Exchange, second: Exchange) -> None:
    """Its listening session is cut while a user logs out: the dead token is refused meanwhile, and known again afterwards."""
    alice, phone = await registered(exchange), await entered(exchange)
    logins = second.services.logins
    there, still = at(second, alice), at(second, phone)
    assert await status_of(there) == 200
    logins._is_current = False  # as after the loss of its session, before another is opened
    assert (await alice.call("POST", "/auth/logout")).status == 204
    assert [await status_of(there), await status_of(still)] == [401, 200]
    await exchange.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'api logins'"
    )
    await eventually(lambda: _is_current(second))
    assert [await status_of(there), await status_of(still)] == [401, 200]


async def test_what_ended_before_the_start_is_known_after_it(exchange: Exchange, database: str) -> None:
    """A process reads the ended sessions before it serves."""
    alice = await registered(exchange)
    await alice.call("POST", "/auth/logout")
    late = await Exchange(database).start()
    assert await status_of(at(late, alice)) == 401
    await late.stop()


async def test_expired_sessions_are_forgotten(exchange: Exchange) -> None:
    """Their rows go 30 days later, with the user's next login; those in memory within a minute."""
    alice = await registered(exchange)
    await exchange.execute("UPDATE logins SET expires_at = now() - interval '31 days'")
    assert await sessions_of(alice) == []
    await entered(exchange)
    assert await exchange.value("SELECT count(*) FROM logins") == 1
    logins = exchange.services.logins
    logins._ended, logins._forget_at_s = {7: 1, 8: 2**40}, 0
    logins._forget_expired()
    assert [logins.has_ended(7), logins.has_ended(8)] == [False, True]


async def _is(client: Client, status: int) -> bool:
    return await status_of(client) == status


async def _is_current(process: Exchange) -> bool:
    return process.services.logins._is_current
