import asyncio

from tests.api.exchange import Exchange

TEN = {"asset": "USDC", "amount": "10"}


async def test_a_deposit_answers_the_updated_balance(exchange: Exchange) -> None:
    """201 with total, locked, available, availableMargin; one ledger row for the user."""
    alice = await exchange.user(None)
    made = await alice.call("POST", "/deposits", TEN | {"amount": "10.5"})
    assert made.status == 201
    assert made.body == {
        "asset": "USDC",
        "total": "10.5",
        "locked": "0",
        "available": "10.5",
        "availableMargin": "10.5",
    }
    assert await exchange.value("SELECT amount FROM ledger WHERE account > 0") == 10_500_000


async def test_a_deposit_with_the_same_key_is_made_once(exchange: Exchange) -> None:
    """Same key and body: the first answer; another body: IDEMPOTENCY_CONFLICT, 409."""
    alice = await exchange.user(None)
    key = {"Idempotency-Key": "my-deposit"}
    replies = await asyncio.gather(*(alice.call("POST", "/deposits", TEN, headers=key) for _ in range(8)))
    assert {reply.status for reply in replies} == {201}
    assert {reply.body["total"] for reply in replies} == {"10"}
    other = await alice.call("POST", "/deposits", TEN | {"amount": "11"}, headers=key)
    assert (other.status, other.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert (await alice.get("/balances")).body[0]["total"] == "10"


async def test_a_malformed_deposit_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST: another asset, no amount, unknown fields, a key that is none, a wallet above 10^12."""
    alice = await exchange.user("999999999999")
    for body in (TEN | {"asset": "BTC"}, {"asset": "USDC"}, TEN | {"to": "2"}, TEN | {"asset": "\x00"}):
        assert (await alice.call("POST", "/deposits", body)).code == "INVALID_REQUEST", body
    for key in ("", " ", "x" * 256, "\u00e9", "a b"):
        reply = await alice.call("POST", "/deposits", TEN, headers={"Idempotency-Key": key})
        assert reply.code == "INVALID_REQUEST", key
    assert (await alice.call("POST", "/deposits", TEN)).code == "INVALID_REQUEST"
    assert (await alice.get("/balances")).body[0]["total"] == "999999999999"


async def test_a_user_credits_their_own_account_and_nobody_else(exchange: Exchange) -> None:
    """`userId` is for administrators, also where deposits are open."""
    alice, bob = await exchange.user(None), await exchange.user(None)
    refused = await alice.call("POST", "/deposits", TEN | {"userId": str(bob.user)})
    assert (refused.status, refused.code) == (403, "FORBIDDEN")


async def test_in_production_only_an_administrator_credits(database: str) -> None:
    """FORBIDDEN for users; an administrator names the user to credit, and gets an error when there is none."""
    exchange = await Exchange(database).start(are_deposits_open=False)
    alice, admin = await exchange.user(None), await exchange.user(None, is_admin=True)
    assert (await alice.deposit()).code == "FORBIDDEN"
    assert (await admin.deposit()).code == "INVALID_REQUEST"
    assert (await admin.call("POST", "/deposits", TEN | {"userId": str(alice.user)})).body["total"] == "10"
    for nobody in ("999999", "0", "-1", "", "x", "1" * 20):
        assert (await admin.call("POST", "/deposits", TEN | {"userId": nobody})).code == "INVALID_REQUEST", nobody
    assert (await alice.get("/balances")).body[0]["total"] == "10"
    await exchange.stop()


async def test_a_token_of_a_user_who_is_not_there_opens_no_account(exchange: Exchange) -> None:
    """UNAUTHENTICATED: a token can outlive a database."""
    ghost = await exchange.user(None)
    ghost.token = exchange.services.tokens.issue(4_242)
    assert (await ghost.deposit()).code == "UNAUTHENTICATED"
    assert (await ghost.order()).status in (401, 422)
    assert await exchange.value("SELECT count(*) FROM orders") == 0
