import asyncio
import time
from dataclasses import replace

from argon2 import PasswordHasher, extract_parameters

from api.access.passwords import Passwords
from api.errors import Refusal
from schemas.refusals import ErrorCode
from tests.api.exchange import Exchange

ALICE = {"email": "alice@example.com", "password": "correct horse"}


async def test_a_registered_user_logs_in_and_is_known_by_the_token(exchange: Exchange) -> None:
    """Register, log in, read: the token names the user who registered."""
    nobody = exchange.anonymous()
    registered = await nobody.call("POST", "/auth/register", ALICE)
    assert registered.status == 201
    assert list(registered.body) == ["userId"]
    entered = await nobody.call("POST", "/auth/login", ALICE)
    assert entered.status == 200
    assert entered.body["userId"] == registered.body["userId"]
    nobody.token = entered.body["token"]
    balances = await nobody.get("/balances")
    assert [balance["total"] for balance in balances.body] == ["0"]


async def test_an_address_is_registered_once_in_any_case(exchange: Exchange) -> None:
    """EMAIL_TAKEN: one mailbox is one user."""
    nobody = exchange.anonymous()
    await nobody.call("POST", "/auth/register", ALICE)
    again = await nobody.call("POST", "/auth/register", ALICE | {"email": "ALICE@example.com"})
    assert (again.status, again.code) == (409, "EMAIL_TAKEN")


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(exchange: Exchange) -> None:
    """UNAUTHENTICATED with one message: nobody learns which addresses are registered."""
    nobody = exchange.anonymous()
    await nobody.call("POST", "/auth/register", ALICE)
    wrong = await nobody.call("POST", "/auth/login", ALICE | {"password": "wrong horse"})
    unknown = await nobody.call("POST", "/auth/login", ALICE | {"email": "bob@example.com"})
    assert wrong.status == unknown.status == 401
    del wrong.body["error"]["requestId"], unknown.body["error"]["requestId"]
    assert wrong.body == unknown.body
    assert wrong.code == "UNAUTHENTICATED"


async def test_an_unknown_user_costs_the_work_of_a_wrong_password(exchange: Exchange) -> None:
    """Both run argon2 once; without that the unknown user would be answered twenty times sooner."""
    nobody = exchange.anonymous()
    await nobody.call("POST", "/auth/register", ALICE)

    async def fastest(body: dict[str, str]) -> float:
        durations = []
        for _ in range(7):
            began = time.perf_counter()
            await nobody.call("POST", "/auth/login", body)
            durations.append(time.perf_counter() - began)
        return min(durations)

    wrong = await fastest(ALICE | {"password": "wrong horse"})
    unknown = await fastest(ALICE | {"email": "bob@example.com"})
    assert unknown > wrong / 3


async def test_the_stored_hash_is_argon2id_at_the_recommended_cost(exchange: Exchange) -> None:
    """m=19456 KiB, t=2, p=1 or above, never the password."""
    await exchange.anonymous().call("POST", "/auth/register", ALICE)
    stored = await exchange.value("SELECT password_hash FROM users WHERE user_id > 0")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_an_unknown_user_is_checked_against_a_hash_of_the_same_cost() -> None:
    """The parameters and lengths of a stored one; its bytes are random, so each process has another."""
    passwords, other = Passwords(threads=1), Passwords(threads=1)
    stored = await passwords.hash("correct horse")
    assert extract_parameters(passwords._nobody) == extract_parameters(stored)
    assert len(passwords._nobody) == len(stored)
    assert passwords._nobody != other._nobody
    assert not await passwords.matches(None, "correct horse")
    passwords.close()
    other.close()


async def test_hashing_does_not_stop_the_event_loop(exchange: Exchange) -> None:
    """While passwords are hashed, /livez is answered."""
    nobody = exchange.anonymous()
    logins = [asyncio.create_task(nobody.call("POST", "/auth/login", ALICE)) for _ in range(20)]
    await nobody.get("/livez")
    assert not all(login.done() for login in logins)
    assert {(await login).status for login in logins} == {401}


async def test_a_password_is_worked_on_in_another_thread() -> None:
    """Both kinds of work have only started when the loop continues: on the loop itself they would be done in one step."""
    passwords = Passwords(threads=1)
    stored = await passwords.hash("correct horse")
    working = [
        asyncio.ensure_future(work) for work in (passwords.hash("x"), passwords.matches(stored, "correct horse"))
    ]
    await asyncio.sleep(0)
    assert [work.done() for work in working] == [False, False]
    assert (await asyncio.gather(*working))[1] is True
    passwords.close()


async def test_more_logins_than_may_wait_are_refused_at_once() -> None:
    """OVERLOADED instead of a line without end; the places are free again afterwards."""
    passwords = Passwords(threads=1, waiting_max=2)
    outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(5)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [refusal.code for refusal in refused] == [ErrorCode.OVERLOADED] * 3
    assert await passwords.matches(await passwords.hash("correct horse"), "correct horse")
    passwords.close()


async def test_malformed_credentials_are_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST for an invalid address or password, control characters included."""
    nobody = exchange.anonymous()
    bad = [
        {"email": "alice", "password": "correct horse"},
        {"email": "a@b@c", "password": "correct horse"},
        {"email": "a\x00@example.com", "password": "correct horse"},
        {"email": "a@example.com\n", "password": "correct horse"},
        {"email": "a@example.com", "password": "short"},
        {"email": "a@example.com", "password": "x" * 129},
        {"email": "a@example.com"},
        {"email": "a@example.com", "password": "correct horse", "role": "admin"},
        {"email": ["a@example.com"], "password": "correct horse"},
    ]
    for path in ("/auth/register", "/auth/login"):
        for body in bad:
            reply = await nobody.call("POST", path, body)
            assert (reply.status, reply.code) == (400, "INVALID_REQUEST"), body
    assert await exchange.value("SELECT count(*) FROM users WHERE user_id > 0") == 0


async def test_a_token_identifies_its_user(exchange: Exchange) -> None:
    """Id, address and role as the database has them now; never the password's hash."""
    alice = await exchange.user(None)
    me = (await alice.get("/me")).body
    assert me.keys() == {"userId", "email", "role", "createdAt", "isTotpEnabled", "recoveryCodesLeft"}
    assert (me["userId"], me["role"]) == (str(alice.user), "user")
    await exchange.execute("UPDATE users SET role = 'admin'")
    assert (await alice.get("/me")).body["role"] == "admin"
    other_user = replace(alice, token=exchange.services.tokens.issue(999))
    assert (await other_user.get("/me")).code == "UNAUTHENTICATED"


COMPOSED, DECOMPOSED = "andr\u00e9@example.com", "andre\u0301@example.com"
SECRET = ("gr\u00fc\u00dfe aus K\u00f6ln", "gru\u0308\u00dfe aus Ko\u0308ln")
"""The same password, as two keyboards send it."""


async def test_another_keyboard_still_logs_in(exchange: Exchange) -> None:
    """E-mail and password are the same whether their accents come composed or decomposed; it is one address."""
    nobody = exchange.anonymous()
    registered = await nobody.call("POST", "/auth/register", {"email": DECOMPOSED, "password": SECRET[1]})
    again = await nobody.call("POST", "/auth/register", {"email": COMPOSED.upper(), "password": SECRET[0]})
    assert (registered.status, again.status, again.code) == (201, 409, "EMAIL_TAKEN")
    for email in (COMPOSED, DECOMPOSED, DECOMPOSED.upper()):
        for password in SECRET:
            login = await nobody.call("POST", "/auth/login", {"email": email, "password": password})
            assert (login.status, login.body["userId"]) == (200, registered.body["userId"]), ascii((email, password))
    assert (await nobody.call("POST", "/auth/login", {"email": COMPOSED, "password": "grusse aus Koln"})).status == 401


async def test_who_registered_before_logs_in_with_either_keyboard(exchange: Exchange) -> None:
    """An earlier release stored address and hash as they were typed: decomposed, for one; nobody can take the other form."""
    nobody, hasher = exchange.anonymous(), PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    old = await nobody.call("POST", "/auth/register", {"email": COMPOSED, "password": SECRET[0]})
    await exchange.execute(
        "UPDATE users SET email = $1, password_hash = $2 WHERE user_id > 0", DECOMPOSED, hasher.hash(SECRET[1])
    )
    for email in (COMPOSED, DECOMPOSED):
        for password in SECRET:
            login = await nobody.call("POST", "/auth/login", {"email": email, "password": password})
            assert (login.status, login.body.get("userId")) == (200, old.body["userId"])
        taken = await nobody.call("POST", "/auth/register", {"email": email, "password": SECRET[0]})
        assert (taken.status, taken.code) == (409, "EMAIL_TAKEN")


async def test_two_old_accounts_of_one_address_stay_two(exchange: Exchange) -> None:
    """Each is reached by the form that its owner typed."""
    nobody = exchange.anonymous()
    asked = [{"email": email, "password": "12345678"} for email in (COMPOSED, "other@example.com")]
    users = [(await nobody.call("POST", "/auth/register", each)).body["userId"] for each in asked]
    await exchange.execute("UPDATE users SET email = $1 WHERE user_id = $2", DECOMPOSED, int(users[1]))
    for email, user in ((COMPOSED, users[0]), (DECOMPOSED, users[1])):
        login = await nobody.call("POST", "/auth/login", {"email": email, "password": "12345678"})
        assert (login.status, login.body["userId"]) == (200, user)
