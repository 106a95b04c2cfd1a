import asyncio
from typing import Any

from tests.api.exchange import Exchange

TEN = {"asset": "USDC", "amount": "10"}


async def test_a_withdrawal_answers_the_updated_balance(exchange: Exchange) -> None:
    """201 with total, locked, available, availableMargin; one ledger row for the user."""
    alice = await exchange.user("10.5")
    made = await alice.withdraw("0.5")
    assert made.status == 201
    assert made.body == {"asset": "USDC", "total": "10", "locked": "0", "available": "10", "availableMargin": "10"}
    assert await exchange.value("SELECT amount FROM ledger WHERE account > 0 AND type = 'WITHDRAW'") == -500_000
    assert (await alice.get("/balances")).body == [made.body]


async def test_more_than_is_available_is_refused_with_its_numbers(exchange: Exchange) -> None:
    """INSUFFICIENT_BALANCE, 422: an order of 0.1 BTC locks 303; what remains can leave to the last micro."""
    alice = await exchange.user("1000")
    assert (await alice.order()).status == 202
    refused = await alice.withdraw("697.000001")
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_BALANCE")
    assert refused.details == {"requested": "697.000001", "available": "697"}
    assert (await alice.withdraw("697")).body["total"] == "303"


async def test_a_withdrawal_with_the_same_key_is_made_once(exchange: Exchange) -> None:
    """Same key and body: the first answer, also over an emptied wallet; another body: IDEMPOTENCY_CONFLICT, 409."""
    alice = await exchange.user("25")
    replies = await asyncio.gather(*(alice.withdraw("10", "mine") for _ in range(8)))
    assert {(reply.status, reply.body["total"]) for reply in replies} == {(201, "15")}
    await alice.withdraw("15")
    assert (await alice.withdraw("10.0", "mine")).body["total"] == "15"
    other = await alice.withdraw("11", "mine")
    assert (other.status, other.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert (await alice.get("/balances")).body[0]["total"] == "0"


async def test_a_key_of_a_deposit_is_no_key_of_a_withdrawal(exchange: Exchange) -> None:
    """IDEMPOTENCY_CONFLICT on the other route, in both directions, for the same body."""
    alice = await exchange.user("100")
    await alice.call("POST", "/deposits", TEN, headers={"Idempotency-Key": "in"})
    assert (await alice.withdraw("10", "in")).code == "IDEMPOTENCY_CONFLICT"
    await alice.withdraw("10", "out")
    crossed = await alice.call("POST", "/deposits", TEN, headers={"Idempotency-Key": "out"})
    assert crossed.code == "IDEMPOTENCY_CONFLICT"
    assert (await alice.get("/balances")).body[0]["total"] == "100"


async def test_a_malformed_withdrawal_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST: another asset, no amount, another's account, a body that is no object, a key that is none."""
    alice, bob = await exchange.user("100"), await exchange.user("100")
    bodies: list[Any] = [TEN | {"asset": "BTC"}, {"asset": "USDC"}, TEN | {"userId": str(bob.user)}, [], "x"]
    for body in bodies:
        assert (await alice.call("POST", "/withdrawals", body)).code == "INVALID_REQUEST", body
    for key in ("", "x" * 256, "a b"):
        assert (await alice.withdraw("10", key)).code == "INVALID_REQUEST", key
    assert await exchange.value("SELECT min(wallet) FROM accounts WHERE user_id > 0") == 100_000_000


async def test_in_production_a_user_withdraws_their_own_money(database: str) -> None:
    """Closed deposits close no withdrawals: 201."""
    exchange = await Exchange(database).start(are_deposits_open=False)
    alice, admin = await exchange.user(None), await exchange.user(None, is_admin=True)
    await admin.call("POST", "/deposits", TEN | {"userId": str(alice.user)})
    assert (await alice.withdraw("4")).body["total"] == "6"
    await exchange.stop()


async def test_a_token_of_a_user_who_is_not_there_withdraws_nothing(exchange: Exchange) -> None:
    """UNAUTHENTICATED: a token can outlive a database."""
    ghost = await exchange.user(None)
    ghost.token = exchange.services.tokens.issue(4_242)
    assert (await ghost.withdraw("1")).code == "UNAUTHENTICATED"


async def test_withdrawals_and_orders_racing_over_http_never_overdraw(exchange: Exchange) -> None:
    """20 times 600 and 20 orders of 303 on 10,000: every answer is a success or its refusal, and the sum fits."""
    alice = await exchange.user("10000")
    races = [race for _ in range(20) for race in (alice.withdraw("600"), alice.order())]
    replies = await asyncio.gather(*races)
    assert {reply.code for reply in replies} <= {"", "INSUFFICIENT_BALANCE", "INSUFFICIENT_MARGIN"}
    withdrawn = sum(reply.status == 201 for reply in replies)
    placed = sum(reply.status == 202 for reply in replies)
    assert withdrawn * 600 + placed * 303 <= 10_000
    balance = (await alice.get("/balances")).body[0]
    assert balance["total"] == str(10_000 - withdrawn * 600)
    assert balance["locked"] == str(placed * 303)
    assert withdrawn == 20 or int(balance["available"]) < 600
