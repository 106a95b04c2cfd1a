"""Twenty ways to open more than margin allows, through the API: reduce-only next to plain orders, leverage, cancels, races.

The thief has an accomplice with any amount of money who takes the other side at any price. Every attack names the answers
that must be refusals; afterwards no account holds a position that its equity does not cover, no fund has paid, and the
audit finds nothing. The mark does not move, except where an attack says so: then the position may not have grown.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.api.exchange import Client, Exchange, Reply
from tests.api.margin_scene import account_of, close, findings_of, long_from, market, move_index, spare

TIMES = 20
INSURANCE = "SELECT sum(amount) FROM ledger WHERE account = house_account('insurance')"
MARK_MOVES = {"two_markets_close_at_a_loss_at_once", "a_losing_account_turns_around"}
WAIVED = {"one_turn_around_is_paid_by_the_margin": 63_000_000}
"""What the margin pays for one close that was accepted next to a plain order (docs/adr), micros."""


class Scene(NamedTuple):
    """The exchange, the thief, and an accomplice with any amount of money."""

    exchange: Exchange
    thief: Client
    mate: Client


Attack = Callable[[Scene], Awaitable[list[Reply]]]
ATTACKS: dict[str, Attack] = {}


def attack(run: Attack) -> Attack:
    """An attack on an account that is long 0.1 from 60,000 with some 349; returns the answers that must be refusals."""
    ATTACKS[run.__name__] = run
    return run


async def reduce(thief: Client, quantity: str, price: str = "62000", side: str = "SELL", **fields: object) -> Reply:
    """A reduce-only limit order."""
    return await thief.order(side=side, quantity=quantity, price=price, reduceOnly=True, **fields)


async def sell(thief: Client, quantity: str, price: str = "60010", **fields: object) -> Reply:
    """A plain limit SELL."""
    return await thief.order(side="SELL", quantity=quantity, price=price, **fields)


async def bid(mate: Client, quantity: str, price: str, market_id: str = "BTC-PERP") -> None:
    """The accomplice's bid."""
    assert (await mate.order(marketId=market_id, quantity=quantity, price=price)).status == 202


@attack
async def a_take_profit_hides_a_naked_sell(at: Scene) -> list[Reply]:
    """The reduce-only order fills first, and leaves the plain SELL 0.2 to open."""
    assert (await reduce(at.thief, "0.1")).status == 202
    return [await sell(at.thief, "0.2")]


@attack
async def a_naked_sell_hides_behind_the_position(at: Scene) -> list[Reply]:
    """SELL 0.2 is covered while the position is there; then the position goes."""
    assert (await sell(at.thief, "0.2")).status == 202
    return [await reduce(at.thief, "0.1"), await reduce(at.thief, "0.001"), await close(at.thief)]


@attack
async def many_small_reductions(at: Scene) -> list[Reply]:
    """Each alone is nothing; together they take the position from under SELL 0.2."""
    for _ in range(10):
        assert (await reduce(at.thief, "0.01")).status == 202
    return [await sell(at.thief, "0.2")]


@attack
async def two_plain_sells_next_to_a_close(at: Scene) -> list[Reply]:
    """One fits what the close leaves, two do not."""
    assert (await close(at.thief)).status == 202
    first = await sell(at.thief, "0.08", "60000")
    assert first.status == 202
    return [await sell(at.thief, "0.08", "60000")]


@attack
async def a_flat_market_is_reduced(at: Scene) -> list[Reply]:
    """Reduce-only without a position: large ones are refused, small ones end in the engine."""
    small = await market(at.thief, "BUY", "0.1", marketId="ETH-PERP", reduceOnly=True)
    assert small.status == 202
    await at.mate.order(marketId="ETH-PERP", side="SELL", quantity="1", price="3000")
    await at.exchange.run_engine()
    assert (await at.thief.get(f"/orders/{small.body['orderId']}")).body["reason"] == "REDUCE_ONLY"
    return [await market(at.thief, "BUY", "50", marketId="ETH-PERP", reduceOnly=True)]


@attack
async def the_reduction_loses_more_than_it_frees(at: Scene) -> list[Reply]:
    """At 54,000 a SELL 0.1 gives the accomplice 600, twice the margin that it frees."""
    await bid(at.mate, "1", "54000")
    return [
        await reduce(at.thief, "0.1", "54000", timeInForce="IOC"),
        await market(at.thief, "SELL", "0.1", reduceOnly=True, maxSlippage="0.1", leverage=1),
    ]


@attack
async def a_wide_slippage_gives_all_away(at: Scene) -> list[Reply]:
    """Accepted, but no farther from the mark than equity pays for."""
    await bid(at.mate, "1", "54000")
    given = await market(at.thief, "SELL", "0.1", reduceOnly=True, maxSlippage="0.1")
    assert given.status == 202
    await at.exchange.run_engine()
    assert (await account_of(at.exchange, at.thief)).wallet >= 0
    return []


@attack
async def leverage_is_lowered_and_raised_between_orders(at: Scene) -> list[Reply]:
    """An order that sets a lower leverage must be covered, also when it is reduce-only."""
    lower = await at.thief.call("POST", "/positions/BTC-PERP/leverage", {"leverage": 10})
    higher = await at.thief.call("POST", "/positions/BTC-PERP/leverage", {"leverage": 21})
    return [lower, higher, await reduce(at.thief, "0.01", leverage=2), await sell(at.thief, "0.3", leverage=20)]


@attack
async def a_cancel_under_way_is_spent_already(at: Scene) -> list[Reply]:
    """Until the engine has ended it the order may fill, so its margin stays."""
    first = await sell(at.thief, "0.2")
    await at.thief.cancel(first.body["orderId"])
    refused = await sell(at.thief, "0.2")
    assert refused.details["pendingCancels"] == 1
    return [refused, await close(at.thief)]


@attack
async def a_cancelled_take_profit_still_counts(at: Scene) -> list[Reply]:
    """It may fill before its cancel arrives, and leave the plain SELL 0.2 to open."""
    first = await reduce(at.thief, "0.1")
    await at.thief.cancel(first.body["orderId"])
    return [await sell(at.thief, "0.2")]


@attack
async def two_markets_close_at_a_loss_at_once(at: Scene) -> list[Reply]:
    """Each close alone is within equity; the accomplice takes both at the worst price."""
    await at.thief.deposit("1300")
    await at.thief.order(marketId="ETH-PERP", quantity="8", price="3000")
    await at.mate.order(marketId="ETH-PERP", side="SELL", quantity="8", price="3000")
    await at.exchange.run_engine()
    await move_index(at.exchange, 2_831, "ETH-PERP")
    await bid(at.mate, "1", "59400")
    await bid(at.mate, "8", "2802.69", "ETH-PERP")
    assert [(await close(at.thief, name)).status for name in ("BTC-PERP", "ETH-PERP")] == [202, 202]
    await at.exchange.run_engine()
    assert (await account_of(at.exchange, at.thief)).wallet >= 0
    return []


@attack
async def a_losing_account_turns_around(at: Scene) -> list[Reply]:
    """Below the margin, a plain SELL 0.1 waits until the position is closed by another: it ends instead of opening."""
    await move_index(at.exchange, 58_000)
    plain = await sell(at.thief, "0.1", "58000")
    assert plain.status == 202
    await bid(at.mate, "0.1", "57500")
    assert (await close(at.thief)).status == 202
    await at.exchange.run_engine()
    await bid(at.mate, "0.1", "58000")
    await at.exchange.run_engine()
    assert (await at.thief.get("/positions")).body == []
    return [await sell(at.thief, "0.1", "58000")]


@attack
async def a_tiny_slippage_takes_a_larger_position(at: Scene) -> list[Reply]:
    """However near the protection price, the position itself needs its margin."""
    await at.mate.order(side="SELL", quantity="10", price="60000")
    return [await market(at.thief, "BUY", "0.02", maxSlippage="0.000001"), await market(at.thief, "SELL", "0.3")]


@attack
async def a_batch_of_both_kinds(at: Scene) -> list[Reply]:
    """Twenty orders in one request, reduce-only and plain in turn: each sees the ones before it."""
    orders = [
        {
            "marketId": "BTC-PERP",
            "side": "SELL",
            "type": "LIMIT",
            "price": "60000",
            "quantity": "0.1",
            "reduceOnly": place % 2 == 0,
        }
        for place in range(20)
    ]
    reply = await at.thief.call("POST", "/orders/batch", {"orders": orders})
    plain = [each["error"] for each in reply.body["orders"][1::2]]
    assert sum(error is None for error in plain) <= 1
    await bid(at.mate, "5", "60000")
    return []


@attack
async def a_close_in_flight_is_taken_for_done(at: Scene) -> list[Reply]:
    """The position still needs its margin: buying as much again is refused."""
    assert (await close(at.thief)).status == 202
    return [await at.thief.order(quantity="0.1"), await market(at.thief, "BUY", "0.1")]


@attack
async def money_leaves_while_a_close_is_in_flight(at: Scene) -> list[Reply]:
    """The close may fill at its worst price, or not at all."""
    assert (await close(at.thief)).status == 202
    return [await at.thief.withdraw("300"), await at.thief.withdraw("49")]


@attack
async def a_fee_far_away_makes_room(at: Scene) -> list[Reply]:
    """A reduce-only SELL at 9,000,000 lowers no requirement: neither the position's nor a plain SELL's."""
    await reduce(at.thief, "0.1", "9000000", postOnly=True)
    return [await sell(at.thief, "0.2"), await at.thief.order(quantity="0.1")]


@attack
async def a_reduction_larger_than_the_position(at: Scene) -> list[Reply]:
    """The engine cuts 1 to 0.1; before and after that a plain SELL 0.2 would be naked."""
    assert (await reduce(at.thief, "1")).status == 202
    before = await sell(at.thief, "0.2")
    await at.exchange.run_engine()
    return [before, await sell(at.thief, "0.2")]


@attack
async def twenty_requests_race_for_the_same_margin(at: Scene) -> list[Reply]:
    """Reduce-only, plain, close and leverage at once, in any order: the account lock gives each dollar once."""
    wishes = [sell(at.thief, "0.1", "60000") for _ in range(6)] + [reduce(at.thief, "0.1", "60000") for _ in range(5)]
    wishes += [close(at.thief) for _ in range(3)] + [at.thief.order(quantity="0.01") for _ in range(4)]
    wishes += [at.thief.call("POST", "/positions/BTC-PERP/leverage", {"leverage": 19}), at.thief.withdraw("40")]
    replies = await asyncio.gather(*wishes)
    assert sum(reply.status == 202 for reply in replies[:6]) <= 2
    await bid(at.mate, "5", "59400")
    return []


@attack
async def two_api_sessions_race(at: Scene) -> list[Reply]:
    """Ten times SELL 0.2 and ten closes: whichever is first, the other is refused."""
    both = await asyncio.gather(*[sell(at.thief, "0.2", "60000") if n % 2 else close(at.thief) for n in range(20)])
    sells, closes = ({reply.status for reply in both[start::2]} for start in (1, 0))
    assert not (202 in sells and 202 in closes)
    await bid(at.mate, "5", "59400")
    return []


async def amend(client: Client, placed: Reply, **fields: object) -> Reply:
    """Other terms for an order that was placed."""
    return await client.call("PUT", f"/orders/{placed.body['orderId']}", fields)


@attack
async def a_small_order_is_amended_into_a_large_one(at: Scene) -> list[Reply]:
    """Within the position it needs nothing; beyond it, it is naked."""
    small = await sell(at.thief, "0.001")
    assert small.status == 202
    before = await amend(at.thief, small, quantity="0.3")
    await at.exchange.run_engine()
    return [before, await amend(at.thief, small, quantity="0.3")]


@attack
async def an_order_far_away_is_amended_next_to_the_mark(at: Scene) -> list[Reply]:
    """0.02 more at 33,000 are covered, at 60,600 they are not."""
    far = await at.thief.order(quantity="0.02", price="33000")
    assert far.status == 202
    await at.exchange.run_engine()
    return [await amend(at.thief, far, price="60600")]


@attack
async def an_amend_frees_margin_before_it_is_done(at: Scene) -> list[Reply]:
    """What an amend will free is spent only after the verdict: until then the order may fill as it was."""
    large = await sell(at.thief, "0.2")
    assert large.status == 202
    await at.exchange.run_engine()
    assert (await amend(at.thief, large, quantity="0.001", price="61000")).status == 202
    early = await sell(at.thief, "0.2")
    await bid(at.mate, "1", "60010")
    return [early]


@attack
async def an_exit_is_amended_beyond_the_position(at: Scene) -> list[Reply]:
    """The engine cuts it to the position; a plain SELL beside it is still refused."""
    exit_order = await reduce(at.thief, "0.05", "61000")
    await at.exchange.run_engine()
    assert (await amend(at.thief, exit_order, quantity="0.8", price="60010")).status == 202
    naked = await sell(at.thief, "0.2")
    await at.exchange.run_engine()
    await bid(at.mate, "2", "60010")
    return [naked, await sell(at.thief, "0.2")]


@attack
async def amends_race_with_orders_and_cancels(at: Scene) -> list[Reply]:
    """Five small orders, each amended to all the margin there is, while others are placed and cancelled."""
    small = [await sell(at.thief, "0.001", "61000") for _ in range(5)]
    await at.exchange.run_engine()
    wishes = [amend(at.thief, each, quantity="0.19", price="60010") for each in small * 2]
    wishes += [sell(at.thief, "0.19") for _ in range(5)] + [at.thief.cancel(small[0].body["orderId"])]
    replies = await asyncio.gather(*wishes)
    assert sum(reply.status == 202 for reply in replies[:-1]) == 1
    await bid(at.mate, "3", "61000")
    return []


@attack
async def an_exit_is_amended_to_lose_more_than_equity(at: Scene) -> list[Reply]:
    """At 54,000 a SELL 0.1 gives the accomplice 600."""
    await bid(at.mate, "1", "54000")
    exit_order = await reduce(at.thief, "0.1", "61000")
    await at.exchange.run_engine()
    return [await amend(at.thief, exit_order, price="54000")]


@attack
async def one_turn_around_is_paid_by_the_margin(at: Scene) -> list[Reply]:
    """SELL 0.1 that fits the position and a close at 1 % below: the only deficit there is, one close's cost, and once."""
    assert (await sell(at.thief, "0.1", "60000")).status == 202
    await bid(at.mate, "0.1", "59400")
    assert (await close(at.thief)).status == 202
    await at.exchange.run_engine()
    await bid(at.mate, "0.1", "60000")
    await at.exchange.run_engine()
    assert spare(await account_of(at.exchange, at.thief)) >= -63_000_000
    back = await at.thief.order(quantity="0.1")
    assert back.status == 202  # it can only reduce: it is reduce-only, and opens nothing after the close
    return [await at.thief.order(quantity="0.11")]


@pytest.mark.parametrize(
    ("name", "times"),
    [(name, 1) for name in ATTACKS]
    + [pytest.param(name, TIMES, marks=(pytest.mark.chaos, pytest.mark.timeout(600))) for name in ATTACKS],
)
async def test_no_attack_opens_more_than_margin_allows(exchange: Exchange, name: str, times: int) -> None:
    """What must be refused is refused; in the end every position is covered, the books are right, the fund is untouched."""
    assert len(ATTACKS) >= 20
    fund = await exchange.value(INSURANCE)
    for _ in range(times):
        thief, mate = await long_from(exchange, "350", "0.1")
        for reply in await ATTACKS[name](Scene(exchange, thief, mate)):
            assert reply.code in {"INSUFFICIENT_MARGIN", "INSUFFICIENT_BALANCE", "INVALID_ORDER"}, reply.body
        await exchange.run_engine()
        account = await account_of(exchange, thief)
        assert account.wallet >= 0
        assert all(
            abs(risk.lots) <= (100 if market == "BTC-PERP" else 800) for market, risk in account.exposures.items()
        )
        assert name in MARK_MOVES or spare(account) >= -WAIVED.get(name, 0)
        assert await findings_of(exchange) == []
        for client in (thief, mate):
            await client.call("DELETE", "/orders")
        await move_index(exchange, 60_000)
        await move_index(exchange, 3_000, "ETH-PERP")
    assert await exchange.value(INSURANCE) == fund
