"""Requests signed with an API key: what they open, and every way in which an attacker could bend one."""

import asyncio
from dataclasses import replace

import pytest

from api.access.api_keys import BELIEVED_S
from api.access.budgets import Budget, Rate
from api.access.signatures import FORGOTTEN_AFTER_S, WINDOW_MS, Reason
from schemas.rest.api_keys import Scope
from tests.api.exchange import Exchange, Reply
from tests.api.signing import now_ms, signer_of
from tests.eventually import eventually

ORDER = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}


def is_refused(reply: Reply, reason: Reason) -> bool:
    """UNAUTHENTICATED for this reason."""
    return (reply.status, reply.code, reply.details.get("reason")) == (401, "UNAUTHENTICATED", reason)


async def test_a_signed_request_acts_for_its_user(exchange: Exchange) -> None:
    """Reads, orders, amends, cancels and withdrawals; the secret is in none of them."""
    alice = await exchange.user()
    signer = await signer_of(alice)
    placed = await signer.call("POST", "/orders", ORDER)
    assert placed.status == 202
    await exchange.run_engine()
    order_id = placed.body["orderId"]
    assert (await signer.call("GET", "/orders?limit=5&status=OPEN")).body["data"][0]["orderId"] == order_id
    assert (await signer.call("PUT", f"/orders/{order_id}", {"price": "59000"})).status == 202
    await exchange.run_engine()
    assert (await signer.call("DELETE", f"/orders/{order_id}")).status == 202
    withdrawn = [
        await signer.call("POST", "/withdrawals", {"asset": "USDC", "amount": "1"}, key="w1") for _ in range(2)
    ]
    assert [reply.status for reply in withdrawn] == [201, 201]
    assert withdrawn[1].headers["Idempotent-Replayed"] == "true"
    assert (await replace(alice, token=signer.secret).get("/balances")).status == 200


async def test_nothing_of_a_signed_request_can_be_changed(exchange: Exchange) -> None:
    """Body, path, query, method, time, Idempotency-Key: with any other the signature is wrong, and nothing happens."""
    signer = await signer_of(await exchange.user())
    body, at = b'{"asset":"USDC","amount":"1"}', now_ms()
    fields = signer.fields("POST", "/withdrawals", body, at_ms=at, key="k") | {"Idempotency-Key": "k"}
    later = fields | {"X-Timestamp": str(at + 1)}
    bent = [
        await signer.send("POST", "/withdrawals", b'{"asset":"USDC","amount":"9"}', fields),
        await signer.send("POST", "/withdrawals", body + b" ", fields),
        await signer.send("POST", "/withdrawals?x=1", body, fields),
        await signer.send("POST", "/withdrawals?=", body, fields),
        await signer.send("POST", "/%77ithdrawals", body, fields),
        await signer.send("POST", "/deposits", body, fields),
        await signer.send("PUT", "/orders/BTC-PERP-2", body, fields),
        await signer.send("POST", "/withdrawals", body, later),
        await signer.send("POST", "/withdrawals", body, fields | {"X-Timestamp": f"0{at}"}),
        await signer.send("POST", "/withdrawals", body, fields | {"Idempotency-Key": "other"}),
        await signer.send("POST", "/withdrawals", body, {k: v for k, v in fields.items() if k != "Idempotency-Key"}),
        await signer.send("POST", "/withdrawals", body, [*fields.items(), ("Idempotency-Key", "k")]),
    ]
    assert [is_refused(reply, Reason.WRONG) for reply in bent] == [True] * len(bent), [reply.body for reply in bent]
    assert (await signer.send("POST", "/withdrawals", body, fields)).status == 201
    assert await exchange.value("SELECT count(*) FROM ledger WHERE account > 0 AND type = 'WITHDRAW'") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("Signature", text) for text in ("", "0" * 63, "0" * 65, "G" * 64, " " * 64, "é" * 64, "0" * 20_000)),
        *(("Timestamp", text) for text in ("", "now", "-1", "1.5", "1e12", "9" * 16, "\uff11\uff17")),
        *(("Api-Key", text) for text in ("", "0", "-1", "01", "9" * 20, "1;", "perp_" + "x" * 43)),
    ],
)
async def test_malformed_fields_are_named_as_such(exchange: Exchange, field: str, value: str) -> None:
    """Refused before anything is looked up."""
    signer = await signer_of(await exchange.user())
    reply = await signer.call("GET", "/balances", **{field: value})
    assert is_refused(reply, Reason.MALFORMED), reply.body


async def test_each_field_is_there_once_and_alone(exchange: Exchange) -> None:
    """A missing or repeated field; a signature next to an Authorization, on the fast path too."""
    alice = await exchange.user()
    signer = await signer_of(alice)
    fields = signer.fields("GET", "/balances")
    for name in fields:
        rest = {field: value for field, value in fields.items() if field != name}
        if name != "X-Timestamp":
            missing = await signer.send("GET", "/balances", b"", rest)
            assert is_refused(missing, Reason.MALFORMED), missing.body
        twice = await signer.send("GET", "/balances", b"", [*fields.items(), (name, fields[name])])
        assert is_refused(twice, Reason.MALFORMED)
    both = await replace(alice).call("GET", "/balances", headers=fields)
    assert is_refused(both, Reason.AMBIGUOUS)
    await alice.get("/balances")
    quick = await alice.call("POST", "/orders", ORDER, headers={"X-Api-Key": signer.key_id})
    assert is_refused(quick, Reason.AMBIGUOUS)
    assert await exchange.value("SELECT count(*) FROM orders") == 0


async def test_a_signature_of_another_key_or_a_part_of_one_opens_nothing(exchange: Exchange) -> None:
    """Another user's key, an unknown one, a truncated, flipped, upper-case signature; one without its prefix."""
    alice, bob = await signer_of(await exchange.user()), await signer_of(await exchange.user())
    signed = alice.fields("GET", "/balances")
    text = signed["X-Signature"]
    flipped = format(int(text[0], 16) ^ 1, "x") + text[1:]
    for key_id, given, reason in (
        (bob.key_id, text, Reason.WRONG),
        ("999999", text, Reason.WRONG),
        (alice.key_id, flipped, Reason.WRONG),
        (alice.key_id, text[:32], Reason.MALFORMED),
        (alice.key_id, text.upper() if text.upper() != text else "A" * 64, Reason.MALFORMED),
    ):
        reply = await alice.send("GET", "/balances", b"", signed | {"X-Api-Key": key_id, "X-Signature": given})
        assert is_refused(reply, reason), reply.body
    unprefixed = replace(alice, secret=alice.secret.removeprefix("perp_"))
    assert is_refused(await unprefixed.call("GET", "/balances"), Reason.WRONG)


async def test_a_wrong_clock_is_told_the_time(exchange: Exchange) -> None:
    """Before and after the window; at its edges it is accepted."""
    signer = await signer_of(await exchange.user())
    for away_ms, is_within in (
        (-WINDOW_MS + 900, True),
        (WINDOW_MS - 900, True),
        (-WINDOW_MS - 900, False),
        (WINDOW_MS + 900, False),
    ):
        reply = await signer.send("GET", "/balances", b"", signer.fields("GET", "/balances", at_ms=now_ms() + away_ms))
        assert (reply.status == 200) is is_within, (away_ms, reply.body)
        if not is_within:
            assert is_refused(reply, Reason.OUTSIDE_WINDOW)
            assert reply.details["windowMs"] == WINDOW_MS
            assert reply.details["exchangeTime"].endswith("Z")


async def test_a_replay_changes_nothing(exchange: Exchange) -> None:
    """An order, an amend and a leverage sent again as they were: once accepted, here or in another process; twenty at once: one."""
    alice = await exchange.user()
    signer, other = await signer_of(alice), await Exchange(exchange.dsn).start()
    there = replace(signer, client=replace(signer.client, url=f"http://127.0.0.1:{other.port}"))
    body = b'{"leverage":7}'
    fields = signer.fields("POST", "/positions/BTC-PERP/leverage", body)
    assert (await signer.send("POST", "/positions/BTC-PERP/leverage", body, fields)).status == 200
    for again in (signer, there):
        assert is_refused(await again.send("POST", "/positions/BTC-PERP/leverage", body, fields), Reason.USED)
    order = b'{"marketId":"BTC-PERP","side":"BUY","type":"LIMIT","quantity":"0.01","price":"60000"}'
    fields = signer.fields("POST", "/orders", order)
    tries = await asyncio.gather(*((signer, there)[n % 2].send("POST", "/orders", order, fields) for n in range(20)))
    assert sorted(reply.status for reply in tries) == [202, *[401] * 19]
    assert await exchange.value("SELECT count(*) FROM orders") == 1
    await other.stop()


async def test_reads_may_be_repeated(exchange: Exchange) -> None:
    """They change nothing, so no signature of them is kept."""
    signer = await signer_of(await exchange.user())
    fields = signer.fields("GET", "/balances")
    for _ in range(2):
        assert (await signer.send("GET", "/balances", b"", fields)).status == 200
    assert await exchange.value("SELECT count(*) FROM used_signatures") == 0


async def test_used_signatures_are_forgotten_when_their_time_is_over(exchange: Exchange) -> None:
    """The table stays small; what is kept is longer than the window."""
    signer = await signer_of(await exchange.user())
    await exchange.execute(
        "INSERT INTO used_signatures SELECT sha256(n::text::bytea), now() - interval '1 hour' FROM generate_series(1, 50) n"
    )
    assert (await signer.call("POST", "/orders", ORDER)).status == 202
    assert await exchange.value("SELECT count(*) FROM used_signatures") == 1
    assert FORGOTTEN_AFTER_S * 1_000 > 2 * WINDOW_MS


async def test_scopes_addresses_and_revocation_hold_as_for_a_secret_that_is_sent(exchange: Exchange) -> None:
    """FORBIDDEN outside the scopes and for keys; 401 from another address, and within a second of the revocation."""
    alice = await exchange.user()
    reader = await signer_of(alice, Scope.READ)
    assert (await reader.call("POST", "/orders", ORDER)).code == "FORBIDDEN"
    assert (await reader.call("GET", "/api-keys")).code == "FORBIDDEN"
    elsewhere = await signer_of(alice, allowedAddresses=["10.0.0.0/8"])
    assert (await elsewhere.call("GET", "/balances")).status == 401
    assert (await reader.call("GET", "/balances")).status == 200
    await alice.call("DELETE", f"/api-keys/{reader.key_id}")

    async def is_dead() -> bool:
        return (await reader.call("GET", "/balances")).status == 401

    assert await eventually(is_dead, BELIEVED_S * 5)


async def test_a_body_where_none_is_read_is_refused_although_it_is_signed(exchange: Exchange) -> None:
    """With and without a declared length, as without a signature."""
    signer = await signer_of(await exchange.user())
    placed = await signer.call("POST", "/orders", ORDER)
    reply = await signer.call("DELETE", f"/orders/{placed.body['orderId']}", {"a": 1})
    assert (reply.status, reply.code, reply.details) == (400, "INVALID_REQUEST", {"field": "body"})


async def test_a_key_from_before_cannot_sign(exchange: Exchange) -> None:
    """Its secret is not known to the exchange; sent, it works as ever."""
    alice = await exchange.user()
    signer = await signer_of(alice)
    await exchange.execute("UPDATE api_keys SET signing_nonce = NULL")
    assert is_refused(await signer.call("GET", "/balances"), Reason.WRONG)
    assert (await replace(alice, token=signer.secret).get("/balances")).status == 200


async def test_the_table_of_keys_makes_no_signature(exchange: Exchange) -> None:
    """Neither the stored hash nor the nonce is what signs."""
    signer = await signer_of(await exchange.user())
    row = await exchange.value("SELECT secret_hash::text || ' ' || signing_nonce::text FROM api_keys")
    for stored in row.replace("\\x", "").split():
        for secret in (stored, "perp_" + stored):
            thief = replace(signer, secret=secret)
            assert is_refused(await thief.call("GET", "/balances"), Reason.WRONG)


async def test_guessing_is_limited_by_address(database: str) -> None:
    """As with secrets that are sent: soon RATE_LIMITED, before anything is computed."""
    exchange = await Exchange(database).start(rates={Budget.UNAUTHENTICATED: Rate(5, 60)})
    signer = await signer_of(await exchange.user())
    replies = [await signer.call("GET", "/balances", Signature="0" * 64) for _ in range(8)]
    assert [reply.status for reply in replies] == [401] * 5 + [429] * 3
    assert (await signer.call("GET", "/balances")).status == 429
    await exchange.stop()
