"""TOTP: enrolling, logins and withdrawals that need a code, and what thieves of passwords, tokens and codes try."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from lxml import etree

from store.users.totp_secrets import Enrolment, TotpSecrets
from tests.api.exchange import TOTP_KEY, Client, Exchange, Reply, now
from tests.api.users import App, entered, log_in, registered, with_totp

REQUIRED, INVALID = {"reason": "TOTP_REQUIRED"}, {"reason": "TOTP_INVALID"}
LIMITED = "RATE_LIMITED"


def refused_as(reply: Reply, details: dict[str, str]) -> bool:
    """Whether it is 401 for this reason."""
    return (reply.status, reply.code, reply.details) == (401, "UNAUTHENTICATED", details)


async def user_with_app(exchange: Exchange) -> tuple[Client, App]:
    """Alice with TOTP enabled."""
    alice = await registered(exchange)
    return alice, await with_totp(alice)


async def test_an_app_is_enrolled_and_confirmed(exchange: Exchange) -> None:
    """An `otpauth` URI, also as a QR code in SVG; not in force before a code of it; then 10 recovery codes."""
    alice = await registered(exchange)
    answer = await alice.call("POST", "/auth/totp")
    assert answer.status == 200
    parts = urlsplit(answer.body["uri"])
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/Perpetua:alice@example.com")
    assert parse_qs(parts.query)["secret"] == [answer.body["secret"]]
    drawn = etree.fromstring(answer.body["qr"].encode())
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert not drawn.xpath("//*[local-name() = 'script'] | //@*[starts-with(local-name(), 'on')]")
    assert (await log_in(exchange)).status == 200
    assert (await alice.get("/me")).body["isTotpEnabled"] is False
    app = App(answer.body["secret"], [])
    confirmed = await alice.call("POST", "/auth/totp/confirm", {"code": app.code()})
    assert len(set(confirmed.body["recoveryCodes"])) == 10
    me = (await alice.get("/me")).body
    assert (me["isTotpEnabled"], me["recoveryCodesLeft"]) == (True, 10)
    assert (await alice.call("POST", "/auth/totp")).code == "TOTP_ENABLED"


async def test_a_login_needs_a_code_then(exchange: Exchange) -> None:
    """TOTP_REQUIRED without one, TOTP_INVALID with a wrong one, as people type it with a right one."""
    _, app = await user_with_app(exchange)
    assert refused_as(await log_in(exchange), REQUIRED)
    assert refused_as(await log_in(exchange, code=app.wrong), INVALID)
    right = app.code()
    assert (await log_in(exchange, code=f"{right[:3]} {right[3:]}")).status == 200
    for malformed in ("12345", "x" * 40, "", "123456\n", "\uff11" * 6, 123456, "12;456"):
        assert (await log_in(exchange, code=malformed)).code == "INVALID_REQUEST", malformed


async def test_only_who_knows_the_password_learns_of_totp(exchange: Exchange) -> None:
    """A wrong password is answered alike for an address with TOTP, one without and one that nobody has."""
    _, app = await user_with_app(exchange)
    await registered(exchange, "bob@example.com")
    answers = []
    for email in ("alice@example.com", "bob@example.com", "nobody@example.com"):
        for fields in ({}, {"code": app.code(1)}, {"code": "000000"}):
            reply = await log_in(exchange, email, password="wrong horse", **fields)
            del reply.body["error"]["requestId"]
            answers.append((reply.status, reply.body))
    assert answers == answers[:1] * 9
    assert (await log_in(exchange, code=app.code())).status == 200, "a code with a wrong password is not used up"


async def test_a_code_is_accepted_once(exchange: Exchange) -> None:
    """Not again at a login, a withdrawal or the removal, and none of a step before it: who looks over a shoulder is late."""
    alice, app = await user_with_app(exchange)
    await alice.deposit("10")
    used = app.code()
    assert (await log_in(exchange, code=used)).status == 200
    assert refused_as(await log_in(exchange, code=used), INVALID)
    for code in (used, app.code(-1)):
        body = {"asset": "USDC", "amount": "1", "code": code}
        assert refused_as(await alice.call("POST", "/withdrawals", body), INVALID)
    assert refused_as(await alice.call("DELETE", "/auth/totp", {"code": used}), INVALID)
    assert (await log_in(exchange, code=app.code(1))).status == 200


async def test_of_racing_logins_with_one_code_one_succeeds(exchange: Exchange) -> None:
    """The others have TOTP_INVALID."""
    _, app = await user_with_app(exchange)
    replies = await asyncio.gather(*(log_in(exchange, code=app.code()) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 401, 401, 401, 401]
    assert all(refused_as(reply, INVALID) for reply in replies if reply.status == 401)


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_clock_of_an_app_may_differ_by_one_step(steps: int, is_accepted: bool) -> None:
    """30 seconds: the code of the step before and after, and no other."""
    secrets, enrolment, at = TotpSecrets(TOTP_KEY), Enrolment(7, b"n" * 20), now()
    code = App(secrets.secret_of(enrolment), []).code(steps)
    assert (secrets.step_of(enrolment, code, at) is not None) is is_accepted


async def test_the_clock_that_decides_is_the_exchanges(database: str) -> None:
    """A process whose clock is wrong by an hour takes PostgreSQL's time, so it accepts the same codes."""
    exchange = await Exchange(database).start()
    _, app = await user_with_app(exchange)
    hour = 3_600_000_000
    ahead = replace(exchange.services, now=lambda: now() + hour)
    assert ahead.totp.step_of(Enrolment(0, b""), app.code(), ahead.now()) is None
    assert (await log_in(exchange, code=app.code())).status == 200
    await exchange.stop()


async def test_guessing_codes_ends_soon(exchange: Exchange) -> None:
    """After five wrong ones, every further one waits, in every process; the right one too, a recovery code not."""
    alice, app = await user_with_app(exchange)
    for _ in range(5):
        assert refused_as(await log_in(exchange, code=app.wrong), INVALID)
    for code in (app.wrong, app.code()):
        limited = await log_in(exchange, code=code)
        assert (limited.status, limited.code, limited.details["limit"]) == (429, LIMITED, "totp")
        assert 25 <= int(limited.headers["Retry-After"]) <= 30
    withdrawn = await alice.call("POST", "/withdrawals", {"asset": "USDC", "amount": "1", "code": app.code()})
    assert withdrawn.code == LIMITED
    assert refused_as(await log_in(exchange, code="AAAA-BBBB-CCCC-DDDD"), INVALID)
    assert (await log_in(exchange, code=app.recovery_codes[0])).status == 200
    assert (await log_in(exchange, code=app.code())).status == 200, "a success clears the failures"


async def test_each_failure_after_that_doubles_the_wait(exchange: Exchange) -> None:
    """30 s, 1 min, 2 min … at most an hour: a day has room for 30 guesses of a million."""
    _, app = await user_with_app(exchange)
    for failures, wait_s in ((5, 30), (6, 60), (8, 240), (12, 3_600), (900, 3_600)):
        await exchange.execute("UPDATE totp SET failures = $1, failed_at = now()", failures)
        assert (await log_in(exchange, code=app.code())).details["retryAfterSeconds"] == wait_s
        await exchange.execute("UPDATE totp SET failed_at = now() - make_interval(secs => $1)", wait_s)
        assert refused_as(await log_in(exchange, code=app.wrong), INVALID)


async def test_parallel_guesses_are_counted_one_by_one(exchange: Exchange) -> None:
    """Twenty at once get five tries, not twenty."""
    _, app = await user_with_app(exchange)
    replies = await asyncio.gather(*(log_in(exchange, code=app.wrong) for _ in range(20)))
    codes = [reply.code for reply in replies]
    assert (codes.count("UNAUTHENTICATED"), codes.count(LIMITED)) == (5, 15)


async def test_a_recovery_code_works_once(exchange: Exchange) -> None:
    """As written or in small letters without hyphens; of two at once, one; none is left after ten."""
    alice, app = await user_with_app(exchange)
    first, second, *others = app.recovery_codes
    assert (await log_in(exchange, code=first)).status == 200
    assert refused_as(await log_in(exchange, code=first), INVALID)
    races = await asyncio.gather(*(log_in(exchange, code=second.replace("-", "").lower()) for _ in range(4)))
    assert sorted(reply.status for reply in races) == [200, 401, 401, 401]
    assert (await alice.get("/me")).body["recoveryCodesLeft"] == 8
    for code in others[:-1]:
        assert (await log_in(exchange, code=code)).status == 200
    assert (await alice.call("DELETE", "/auth/totp", {"code": others[-1]})).status == 204
    assert (await log_in(exchange)).status == 200


async def test_of_racing_confirmations_one_gets_the_recovery_codes(exchange: Exchange) -> None:
    """The others learn that TOTP is enabled; there are ten codes, and those that were shown work."""
    alice = await registered(exchange)
    app = App((await alice.call("POST", "/auth/totp")).body["secret"], [])
    replies = await asyncio.gather(
        *(alice.call("POST", "/auth/totp/confirm", {"code": app.code()}) for _ in range(5)),
        *(alice.call("POST", "/auth/totp") for _ in range(3)),
    )
    confirmed = [reply for reply in replies[:5] if reply.status == 200]
    assert len(confirmed) <= 1
    if confirmed:
        assert await exchange.value("SELECT count(*) FROM recovery_codes") == 10
        assert (await log_in(exchange, code=confirmed[0].body["recoveryCodes"][3])).status == 200
    assert {reply.code for reply in replies} <= {"", "TOTP_ENABLED", "UNAUTHENTICATED"}


async def test_a_wrong_code_confirms_nothing(exchange: Exchange) -> None:
    """TOTP_INVALID, and NOT_FOUND where nothing is enrolled; an enrolment is replaced by the next."""
    alice = await registered(exchange)
    for method, path in (("POST", "/auth/totp/confirm"), ("DELETE", "/auth/totp")):
        assert (await alice.call(method, path, {"code": "123456"})).code == "NOT_FOUND"
    old = App((await alice.call("POST", "/auth/totp")).body["secret"], [])
    new = App((await alice.call("POST", "/auth/totp")).body["secret"], [])
    assert old.secret != new.secret
    assert refused_as(await alice.call("POST", "/auth/totp/confirm", {"code": old.code()}), INVALID)
    assert (await alice.call("DELETE", "/auth/totp", {"code": new.code()})).code == "NOT_FOUND"
    assert (await alice.call("POST", "/auth/totp/confirm", {"code": new.code()})).status == 200


async def test_a_withdrawal_needs_a_code(exchange: Exchange) -> None:
    """Of tokens and of API keys; nothing moves without one, and a deposit needs none."""
    alice, app = await user_with_app(exchange)
    await alice.deposit("10")
    scopes = ["withdraw"]
    key = (await alice.call("POST", "/api-keys", {"label": "bot", "scopes": scopes})).body["secret"]
    for client in (alice, replace(alice, token=key)):
        assert refused_as(await client.withdraw("1"), REQUIRED)
        wrong = await client.call("POST", "/withdrawals", {"asset": "USDC", "amount": "1", "code": app.wrong})
        assert refused_as(wrong, INVALID)
    assert await exchange.value("SELECT wallet FROM accounts WHERE user_id = $1", alice.user) == 10_000_000
    body = {"asset": "USDC", "amount": "1", "code": app.code()}
    assert (await alice.call("POST", "/withdrawals", body)).body["total"] == "9"


async def test_a_repeated_withdrawal_is_answered_as_before(exchange: Exchange) -> None:
    """Its code is used up by then, and its money moved once: the key alone decides."""
    alice, app = await user_with_app(exchange)
    await alice.deposit("10")
    body = {"asset": "USDC", "amount": "1", "code": app.code()}
    calls = [alice.call("POST", "/withdrawals", body, headers={"Idempotency-Key": "once"}) for _ in range(4)]
    replies = await asyncio.gather(*calls)
    assert [(reply.status, reply.body["total"]) for reply in replies] == [(201, "9")] * 4
    other = body | {"amount": "2"}
    conflict = await alice.call("POST", "/withdrawals", other, headers={"Idempotency-Key": "once"})
    assert conflict.code == "IDEMPOTENCY_CONFLICT"
    assert refused_as(await alice.call("POST", "/withdrawals", body), INVALID)


async def test_the_database_holds_no_secret(exchange: Exchange) -> None:
    """Whoever reads the tables finds neither the secret nor a recovery code, and cannot make them without the key."""
    _, app = await user_with_app(exchange)
    dump = await exchange.value(
        "SELECT (SELECT string_agg(t::text, ' ') FROM totp t) || (SELECT string_agg(r::text, ' ') FROM recovery_codes r)"
    )
    for text in (app.secret, *app.recovery_codes, app.recovery_codes[0].replace("-", "")):
        assert text not in dump
        assert text.encode().hex() not in dump
    enrolment = Enrolment(1, b"n" * 20)
    assert TotpSecrets(TOTP_KEY).secret_of(enrolment) != TotpSecrets(TOTP_KEY + "x").secret_of(enrolment)


async def test_a_process_with_another_key_counts_no_failure(exchange: Exchange, database: str) -> None:
    """503: its operator gave it another TOTP_KEY. Without a key nobody can enrol there: FORBIDDEN."""
    alice, app = await user_with_app(exchange)
    second = Exchange(database)
    await second.start()
    for key, expected in (("another key, also quite long enough", "UNAVAILABLE"), ("", "UNAVAILABLE")):
        object.__setattr__(second.services, "totp", TotpSecrets(key))
        for code in (app.code(), app.recovery_codes[0]):
            assert (await log_in(second, code=code)).code == expected
    there = Client(second.session, second.anonymous().url, alice.token)
    assert (await there.call("POST", "/auth/totp")).code == "FORBIDDEN"
    assert await exchange.value("SELECT failures FROM totp") == 0
    assert (await entered(exchange, code=app.code())).user == alice.user
    await second.stop()
