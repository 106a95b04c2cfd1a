"""Acts of operators on accounts: freezes, corrections and rights, with races, and the books exact afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from schemas.orders import Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.operating.acts import Action, ActView, CorrectionRequest
from store.audit.audit import audit
from store.audit.deep_audit import deep_audit
from store.audit.live_audit import read_sums
from store.money.transfers import Done
from store.operators.acts import Operator, list_acts
from store.operators.corrections import correct
from store.operators.freezing import freeze, unfreeze
from store.operators.rights import Kept, grant_admin, revoke_admin, revoke_keys
from store.queries.paging import ListRequest
from store.submission import Placed, Submission, SubmitOrder
from tests.store.account_builder import order, session_to, submission_to
from tests.store.projection_builders import NOON, Exchange, a_stop, an_order, open_exchange

BTC = "BTC-PERP"
TYPED = Operator(None, "root@desk")
WHY = "ticket 12"
USDC = 10**6


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange; both audits must be exact after each test."""
    opened = await open_exchange(database)
    yield opened
    await opened.settle()
    assert await audit(opened.session) == []
    assert await deep_audit(opened.session) == []
    sums, wrong = await read_sums(opened.session)
    assert (sums.difference, wrong) == (0, [])
    await opened.close()


async def wallet(exchange: Exchange, user: int) -> int:
    """Micros."""
    return int(await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", user))


async def give(
    exchange: Exchange, user: int, amount: str, key: str = "once", *, operator: Operator = TYPED, asset: str = "USDC"
) -> Done[ActView] | Refused:
    """Correct a balance on a session of its own."""
    async with session_to(exchange.dsn) as session:
        return await correct(session, user, CorrectionRequest(asset, amount, WHY), key, NOON, operator=operator)


def code_of(answer: object) -> ErrorCode | None:
    """The code of a refusal."""
    return answer.code if isinstance(answer, Refused) else None


async def place(submission: Submission, user: int, *asked: Any, **more: Any) -> object:
    """Place an order."""
    [answer] = await submission.run([SubmitOrder(user, order(*asked, **more))], NOON, {})
    return answer


async def test_a_correction_moves_money_from_outside_and_says_why(exchange: Exchange) -> None:
    """10,000 and 12.5, less 0.5: two entries each, against `external`; the log has who, why, before and after."""
    user = await exchange.user("a@x.io")
    given = await give(exchange, user, "12.5")
    assert isinstance(given, Done)
    act = given.answer
    assert (act.action, act.user_id, act.reason, act.shell) == (Action.CORRECT_BALANCE, str(user), WHY, "root@desk")
    assert (act.before, act.after) == ({"total": "10000"}, {"total": "10012.5", "amount": "12.5"})
    taken = await give(exchange, user, "-0.5", "twice")
    assert isinstance(taken, Done)
    assert taken.answer.after == {"total": "10012", "amount": "-0.5"}
    assert await wallet(exchange, user) == 10_012 * USDC
    rows = await exchange.session.fetch(
        "SELECT account, amount FROM ledger WHERE type = 'CORRECTION' ORDER BY entry_id"
    )
    assert [tuple(row) for row in rows] == [(user, 12_500_000), (-1, -12_500_000), (user, -500_000), (-1, 500_000)]


async def test_a_correction_is_carried_out_once_per_key(exchange: Exchange) -> None:
    """Repeated it answers as at first; with another amount, reason or user the key is taken; another operator's is its own."""
    user, other = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    first, again = await give(exchange, user, "5"), await give(exchange, user, "5")
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert (again.answer, first.is_replay, again.is_replay) == (first.answer, False, True)
    for answer in (await give(exchange, user, "6"), await give(exchange, user, "-5"), await give(exchange, other, "5")):
        assert code_of(answer) is ErrorCode.IDEMPOTENCY_CONFLICT
    assert not isinstance(await give(exchange, other, "7", operator=Operator(user, None)), Refused)
    assert (await wallet(exchange, user), await wallet(exchange, other)) == (10_005 * USDC, 10_007 * USDC)


async def test_what_margin_needs_cannot_be_taken(exchange: Exchange) -> None:
    """A bid of 0.1 at 60,000 needs 303 of 10,000: 9,697 can go and not a micro more; frozen or not."""
    user = await exchange.user("a@x.io")
    async with submission_to(exchange.dsn) as submission:
        assert isinstance(await place(submission, user, "0.1"), Placed)
    refused = await give(exchange, user, "-9697.000001")
    assert isinstance(refused, Refused)
    assert (refused.code, refused.details) == (
        ErrorCode.INSUFFICIENT_BALANCE,
        {"requested": "9697.000001", "available": "9697"},
    )
    assert await exchange.session.fetchval("SELECT count(*) FROM operator_acts") == 0
    assert not isinstance(await give(exchange, user, "-9697"), Refused)


async def test_a_frozen_accounts_money_can_be_taken_and_a_liquidated_ones_not(exchange: Exchange) -> None:
    """A freeze holds the user, not the operator; a liquidation decides on the wallet as it is."""
    user = await exchange.user("a@x.io")
    await freeze(exchange.session, TYPED, user, WHY, NOON)
    short = await give(exchange, user, "-10000.1")
    assert isinstance(short, Refused)
    assert short.details == {"requested": "10000.1", "available": "10000"}
    assert not isinstance(await give(exchange, user, "-10000"), Refused)
    assert not isinstance(await give(exchange, user, "30", "back"), Refused)
    await exchange.session.execute("UPDATE accounts SET liquidation_id = 1 WHERE user_id = $1", user)
    refused = await give(exchange, user, "-1", "third")
    assert isinstance(refused, Refused)
    assert refused.details == {"requested": "1", "available": "0", "reason": "LIQUIDATION"}
    await exchange.session.execute("UPDATE accounts SET liquidation_id = NULL WHERE user_id = $1", user)


@pytest.mark.parametrize(
    "amount", ["0", "-0", "", "-", "--1", "+1", "1e3", "-1e3", "0.0000001", "1000000000000.1", " 1", "NaN", "-٣"]
)
async def test_what_is_no_amount_corrects_nothing(exchange: Exchange, amount: str) -> None:
    """INVALID_REQUEST, and the key stays free."""
    user = await exchange.user("a@x.io")
    assert code_of(await give(exchange, user, amount)) is ErrorCode.INVALID_REQUEST
    assert code_of(await give(exchange, user, "1", asset="BTC")) is ErrorCode.INVALID_REQUEST
    assert not isinstance(await give(exchange, user, "1"), Refused)


async def test_a_wallet_never_exceeds_the_largest(exchange: Exchange) -> None:
    """Above 10^12 is refused, like a deposit; an unknown user too."""
    user = await exchange.user("a@x.io")
    assert code_of(await give(exchange, user, "1000000000000")) is ErrorCode.INVALID_REQUEST
    assert code_of(await give(exchange, 999_999, "1")) is ErrorCode.UNAUTHENTICATED


async def test_two_corrections_race_for_the_same_money(exchange: Exchange) -> None:
    """Eight at once take 6,000 of 10,000: one of them does; eight with one key do it once."""
    user = await exchange.user("a@x.io")
    answers = await asyncio.gather(*(give(exchange, user, "-6000", f"key-{n}") for n in range(8)))
    assert [code_of(answer) for answer in answers].count(None) == 1
    same = await asyncio.gather(*(give(exchange, user, "-1000", "same") for _ in range(8)))
    assert sum(isinstance(answer, Done) and not answer.is_replay for answer in same) == 1
    assert len({answer.answer.act_id for answer in same if isinstance(answer, Done)}) == 1
    assert await wallet(exchange, user) == 3_000 * USDC


async def test_a_correction_and_an_order_never_use_the_same_money(exchange: Exchange) -> None:
    """303 of margin and 9,800 taken do not fit into 10,000: one of the two is refused, in every order."""
    for number in range(10):
        user = await exchange.user(f"u{number}@x.io")
        async with submission_to(exchange.dsn) as submission:
            taken, placed = await asyncio.gather(
                give(exchange, user, "-9800", f"race-{number}"), place(submission, user, "0.1")
            )
        assert isinstance(taken, Refused) != isinstance(placed, Refused)


async def test_a_frozen_account_only_reduces(exchange: Exchange) -> None:
    """Its resting orders that could open are cancelled, those that reduce stay; it closes, cancels, and opens nothing."""
    user, other = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(user, Side.BUY, 100, 600_000))
    await exchange.submit(BTC, an_order(other, Side.SELL, 100, 600_000))
    opening = await exchange.submit(BTC, an_order(user, Side.BUY, 50, 590_000))
    reducing = await exchange.submit(BTC, an_order(user, Side.SELL, 40, 610_000, reduce_only=True))
    await exchange.settle()
    act = await freeze(exchange.session, TYPED, user, WHY, NOON)
    assert act is not None
    assert (act.before["frozenAt"], act.after["cancelledOrders"]) == (None, [f"{BTC}-{opening}"])
    await exchange.settle()
    ends = dict(await exchange.session.fetch("SELECT order_id & 1048575, reason FROM orders WHERE user_id = $1", user))
    assert (ends[opening], ends[reducing]) == ("MARGIN", None)
    async with submission_to(exchange.dsn) as submission:
        for asked in ({}, {"market": "ETH-PERP", "price": "3000"}, {"side": Side.SELL, "quantity": "0.2"}):
            refused = await place(submission, user, **asked)
            assert isinstance(refused, Refused)
            assert (refused.code, refused.details) == (ErrorCode.MARKET_NOT_ACTIVE, {"reason": "ACCOUNT_FROZEN"})
        assert isinstance(await place(submission, user, "0.06", "60000", Side.SELL, reduce_only=True), Placed)
        await unfreeze(exchange.session, TYPED, user, "resolved", NOON)
        assert isinstance(await place(submission, user, "0.01", "59000"), Placed)


async def test_a_trigger_opens_nothing_while_the_account_is_frozen(exchange: Exchange) -> None:
    """A stop that would open and waits stays untouched by the freeze; it is not reserved any margin when it fires."""
    user = await exchange.user("a@x.io")
    stop = await exchange.submit(BTC, a_stop(user, Side.BUY, 900_000, quantity=3, reduce_only=False))
    await exchange.settle()
    act = await freeze(exchange.session, TYPED, user, WHY, NOON)
    assert act is not None
    assert act.after["cancelledOrders"] == []
    is_waiting = "SELECT is_waiting AND cancel_seq IS NULL FROM orders WHERE order_id & 1048575 = $1"
    assert await exchange.session.fetchval(is_waiting, stop)


async def test_a_freeze_races_with_orders(exchange: Exchange) -> None:
    """However it ends: what was accepted before is cancelled behind it in the log, what came after is refused."""
    for number in range(8):
        user = await exchange.user(f"u{number}@x.io")
        async with (
            submission_to(exchange.dsn) as one,
            submission_to(exchange.dsn) as two,
            session_to(exchange.dsn) as third,
        ):
            placed = await asyncio.gather(
                place(one, user, "0.01", "50000"),
                freeze(third, TYPED, user, WHY, NOON),
                place(two, user, "0.02", "50000"),
            )
            assert isinstance(await place(one, user, "0.01", "50000"), Refused)
        accepted = sum(isinstance(answer, Placed) for answer in placed)
        live = "SELECT count(*), count(cancel_seq) FROM orders WHERE user_id = $1"
        assert tuple(await exchange.session.fetchrow(live, user)) == (accepted, accepted)


async def test_a_frozen_account_is_still_liquidated(exchange: Exchange) -> None:
    """A freeze must never keep the liquidator away."""
    from store.liquidations.steps import begin

    user, other = await exchange.user("a@x.io", "310"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(user, Side.BUY, 100, 600_000))
    await exchange.submit(BTC, an_order(other, Side.SELL, 100, 600_000))
    await exchange.settle()
    await freeze(exchange.session, TYPED, user, WHY, NOON)
    transaction = exchange.session.transaction()
    await transaction.start()
    await exchange.session.execute("UPDATE markets SET mark = 571000 WHERE name = $1", BTC)
    assert await begin(exchange.session, user, NOON)
    await transaction.rollback()


async def test_a_frozen_account_may_be_frozen_again(exchange: Exchange) -> None:
    """It keeps the first time; both acts are in the log; an unknown user is none."""
    user = await exchange.user("a@x.io")
    first = await freeze(exchange.session, TYPED, user, WHY, NOON)
    second = await freeze(exchange.session, TYPED, user, "again", NOON)
    assert first is not None
    assert second is not None
    assert second.before["frozenAt"] == second.after["frozenAt"] == first.after["frozenAt"]
    for unknown in (999_999, -3, 0):
        assert await freeze(exchange.session, TYPED, unknown, WHY, NOON) is None
        assert await unfreeze(exchange.session, TYPED, unknown, WHY, NOON) is None
    page = await list_acts(exchange.session, user, ListRequest())
    assert not isinstance(page, Refused)
    assert [act.reason for act in page.data] == ["again", WHY]


async def test_the_last_administrator_stays(exchange: Exchange) -> None:
    """Six of them remove each other at once: one is left. One who is none is not removed."""
    users = [await exchange.user(f"u{number}@x.io") for number in range(6)]
    for user in users:
        assert isinstance(await grant_admin(exchange.session, TYPED, user, None, NOON), ActView)

    async def removed(number: int) -> object:
        async with session_to(exchange.dsn) as session:
            return await revoke_admin(session, Operator(users[number], None), users[number - 1], None, NOON)

    outcomes = await asyncio.gather(*(removed(number) for number in range(6)))
    assert outcomes.count(Kept.LAST_ONE) == 1
    assert await exchange.session.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 1
    nobody = await exchange.user("n@x.io")
    assert await revoke_admin(exchange.session, TYPED, nobody, None, NOON) is Kept.NOT_ONE
    assert await revoke_admin(exchange.session, TYPED, 999_999, None, NOON) is Kept.NO_USER
    assert await grant_admin(exchange.session, TYPED, 999_999, None, NOON) is Kept.NO_USER


async def test_all_keys_of_a_user_are_revoked(exchange: Exchange) -> None:
    """And no other's."""
    user, other = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    make = """
        INSERT INTO api_keys (user_id, secret_hash, label, scopes, allowed_addresses, created_at)
        VALUES ($1, sha256($2::text::bytea), 'bot', '{read}', '{}', now()) RETURNING key_id::text
    """
    mine = [await exchange.session.fetchval(make, user, f"{user}-{number}") for number in range(2)]
    await exchange.session.fetchval(make, other, "other")
    act = await revoke_keys(exchange.session, TYPED, user, WHY, NOON)
    assert act is not None
    assert (act.before, act.after) == ({"activeKeys": mine}, {"activeKeys": []})
    left = await exchange.session.fetch("SELECT user_id FROM api_keys WHERE revoked_at IS NULL")
    assert [row["user_id"] for row in left] == [other]
    assert await revoke_keys(exchange.session, TYPED, 999_999, WHY, NOON) is None


async def test_the_log_is_append_only(exchange: Exchange) -> None:
    """Not even the owner changes or removes an entry."""
    user = await exchange.user("a@x.io")
    await freeze(exchange.session, TYPED, user, WHY, NOON)
    for statement in ("UPDATE operator_acts SET reason = 'x'", "DELETE FROM operator_acts", "TRUNCATE operator_acts"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await exchange.session.execute(statement)
    assert await exchange.session.fetchval("SELECT reason FROM operator_acts") == WHY
