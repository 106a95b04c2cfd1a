"""Ways to open more than margin allows where kinds of orders meet: amends with stops, OCO with amends, batches with legs, races.

As in test_conditional_thefts: the thief is long 0.1 from 60,000 with some 349, conditions are about the last price, the mark stays.
Every attack returns the answers that must be refusals; the audit is clean at each step of it, and the account covered at its end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from schemas.commands import AdvanceClock
from schemas.risk_tiers import RiskTier
from schemas.units import Micros, Ppm, Timestamp
from store.audit.deep_audit import deep_audit
from store.session.connect import connect_writer
from tests.api.exchange import Client, Exchange, Reply, now
from tests.api.margin_scene import account_of, close, findings_of, long_from, market, move_index, spare
from tests.api.test_conditional_orders import activate, tick
from tests.api.test_conditional_thefts import INSURANCE, TIMES, Scene, accepted, sell, stop
from tests.api.test_countdown import count_down
from tests.api.test_history import run_command
from tests.api.test_margin_thefts import amend, reduce
from tests.api.test_risk_tiers import set_limits
from tests.store.liquidation_scene import new_liquidator

Attack = Callable[[Scene], Awaitable[list[Reply]]]
ATTACKS: dict[str, Attack] = {}
LEVERAGE = "/positions/BTC-PERP/leverage"
USDC = 10**6
OPEN_ORDERS = "SELECT sum(live_orders + waiting_orders) FROM positions WHERE user_id = $1"


def attack(run: Attack) -> Attack:
    """Returns the answers that must be refusals."""
    ATTACKS[run.__name__] = run
    return run


async def entry(thief: Client, quantity: str, trigger: str = "60100", **fields: Any) -> Reply:
    """A stop that buys more."""
    return await stop(thief, trigger, **({"side": "BUY", "quantity": quantity} | fields))


async def step(at: Scene) -> None:
    """What is under way is right as it is, and once the engine has seen it."""
    assert await findings_of(at.exchange) == []
    await at.exchange.run_engine()
    assert await findings_of(at.exchange) == []


async def fired(at: Scene, *orders: Reply) -> None:
    """These orders fire at 60,100, and the activator decides."""
    accepted(*orders)
    await step(at)
    await at.last("60100")
    await activate(at.exchange)
    await step(at)


async def state(client: Client, placed: Reply) -> tuple[str, str | None]:
    """Status and reason of an order."""
    order = (await client.get(f"/orders/{placed.body['orderId']}")).body
    return order["status"], order["reason"]


async def lots_of(at: Scene) -> int:
    """The thief's position."""
    risk = (await account_of(at.exchange, at.thief)).exposures.get("BTC-PERP")
    return risk.lots if risk else 0


@attack
async def a_sell_beside_a_stop_is_amended_beyond_the_position(at: Scene) -> list[Reply]:
    """It fits beside the stop; larger it would be naked once the stop has filled."""
    small = await sell(at.thief, "0.05")
    accepted(small, await stop(at.thief))
    before = await amend(at.thief, small, quantity="0.2")
    await step(at)
    refused = [before, await amend(at.thief, small, quantity="0.12")]
    await at.bid("1", "59800")
    await at.last("59900")
    await at.bid("1", "61000")
    await step(at)
    assert await lots_of(at) == -50
    return refused


@attack
async def a_stop_fires_while_a_sell_is_amended(at: Scene) -> list[Reply]:
    """The amend is in the log right before the trade that fires the stop; the other one right after it."""
    one, two = await sell(at.thief, "0.02"), await sell(at.thief, "0.02")
    accepted(one, two, await stop(at.thief))
    await at.bid("1", "59800")
    await step(at)
    accepted(await amend(at.thief, one, quantity="0.04", price="60900"))
    early = await sell(at.thief, "0.05")
    await at.mate.order(side="SELL", quantity="0.001", price="59800", timeInForce="IOC")
    accepted(await amend(at.thief, two, quantity="0.03"))
    await step(at)
    assert await lots_of(at) == 0
    late = await amend(at.thief, two, quantity="0.2")
    await at.bid("1", "61000")
    await step(at)
    assert await lots_of(at) == -70
    return [early, late]


@attack
async def a_parent_is_amended_up_while_its_legs_wake(at: Scene) -> list[Reply]:
    """Its stop-loss follows the position, which grows only by what is covered."""
    parent = await at.thief.order(
        quantity="0.01", price="59990", stopLoss={"triggerPrice": "59950", "workingType": "LAST"}
    )
    accepted(parent)
    await step(at)
    await at.ask("0.004", "59990")
    refused = [await amend(at.thief, parent, quantity="0.1")]
    accepted(await amend(at.thief, parent, quantity="0.015"))
    await step(at)
    assert await lots_of(at) == 104
    await at.ask("1", "59990")
    await step(at)
    refused += [await sell(at.thief, "0.2"), await at.thief.order(quantity="0.05", price="59990")]
    await at.bid("2", "59940")
    await step(at)
    await at.mate.order(side="SELL", quantity="0.001", price="59940", timeInForce="IOC")
    await step(at)
    assert await lots_of(at) == 0
    return refused


@attack
async def a_parent_is_amended_away_and_leaves_its_legs(at: Scene) -> list[Reply]:
    """Amended to what has filled it ends; its legs are awake, and count beside a plain SELL until they end."""
    legs = {"takeProfit": {"triggerPrice": "61000"}, "stopLoss": {"triggerPrice": "59950", "workingType": "LAST"}}
    parent = await at.thief.order(quantity="0.01", price="59990", **legs)
    accepted(parent)
    await at.ask("0.004", "59990")
    await step(at)
    accepted(await amend(at.thief, parent, quantity="0.004"))
    await step(at)
    assert await state(at.thief, parent) == ("CANCELLED", "AMENDED")
    refused = [await sell(at.thief, "0.2"), await amend(at.thief, parent, quantity="0.5")]
    assert refused.pop().code == "ORDER_NOT_OPEN"
    await at.bid("2", "59940")
    await step(at)
    await at.mate.order(side="SELL", quantity="0.001", price="59940", timeInForce="IOC")
    await step(at)
    assert await lots_of(at) == 0
    return refused


@attack
async def a_member_of_an_oco_group_is_amended(at: Scene) -> list[Reply]:
    """A plain SELL in a group counts beside the stop of the group, as it is and as it would be."""
    member = await sell(at.thief, "0.05", ocoGroup="exit")
    accepted(member, await stop(at.thief, ocoGroup="exit"))
    await step(at)
    refused = [await amend(at.thief, member, quantity="0.2")]
    accepted(await amend(at.thief, member, quantity="0.08"))
    refused += [await sell(at.thief, "0.05")]
    await at.bid("1", "59800")
    await at.mate.order(side="SELL", quantity="0.001", price="59800", timeInForce="IOC")
    await step(at)
    assert (await state(at.thief, member), await lots_of(at)) == (("CANCELLED", "OCO"), 0)
    await at.bid("1", "61000")
    await step(at)
    return refused


@attack
async def the_group_of_an_order_fires_before_its_amend_arrives(at: Scene) -> list[Reply]:
    """What the amend adds counts until the order ends with its group, and not after that; the amend finds nothing."""
    profit = await reduce(at.thief, "0.05", "61000", ocoGroup="exit")
    accepted(profit, await stop(at.thief, ocoGroup="exit"))
    await at.bid("1", "59800")
    await step(at)
    await at.mate.order(side="SELL", quantity="0.001", price="59800", timeInForce="IOC")
    accepted(await amend(at.thief, profit, quantity="0.9", price="60010"))
    refused = [await sell(at.thief, "0.2")]
    await step(at)
    assert (await state(at.thief, profit), await lots_of(at)) == (("CANCELLED", "OCO"), 0)
    return [*refused, await sell(at.thief, "0.2")]


@attack
async def a_batch_of_parents_each_covered_alone(at: Scene) -> list[Reply]:
    """BUY 0.01 with legs, twenty times, one client id twice: one is accepted, and answered twice."""
    one = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "price": "60000", "quantity": "0.01"}
    one |= {"takeProfit": {"triggerPrice": "61000"}, "stopLoss": {"triggerPrice": "59900", "workingType": "LAST"}}
    named = one | {"clientOrderId": f"twice-{at.thief.user}"}
    reply = await at.thief.call("POST", "/orders/batch", {"orders": [named, named, *[one] * 18]})
    answers = reply.body["orders"]
    assert answers[0]["orderId"] == answers[1]["orderId"]
    assert {each["error"] and each["error"]["code"] for each in answers[2:]} == {"INSUFFICIENT_MARGIN"}
    again = await at.thief.call("POST", "/orders/batch", {"orders": [one, named, one | named | {"quantity": "0.05"}]})
    assert [(each["error"] or {}).get("code") for each in again.body["orders"]] == [
        *("INSUFFICIENT_MARGIN", None, "DUPLICATE_CLIENT_ORDER_ID")
    ]
    await step(at)
    refused = [await sell(at.thief, "0.2")]
    await at.ask("1", "60000")
    await step(at)
    assert await lots_of(at) == 110
    return refused


@attack
async def a_cancel_all_races_with_activation_amend_and_trigger(at: Scene) -> list[Reply]:
    """Whichever is first, everything that was accepted before the cancel-all ends, and is in no sum afterwards."""
    for _ in range(3):
        await at.last("60000")
        await at.bid("0.001", "59000")
        resting = await sell(at.thief, "0.01")
        waiting = [await entry(at.thief, "0.001"), await entry(at.thief, "0.001"), await stop(at.thief, "59000")]
        accepted(resting, *waiting)
        await step(at)
        await at.last("60100")
        cancelled, *_ = await asyncio.gather(
            at.thief.call("DELETE", "/orders"),
            activate(at.exchange),
            amend(at.thief, resting, quantity="0.05", price="60900"),
            activate(at.exchange),
            at.mate.order(side="SELL", quantity="0.001", price="59000", timeInForce="IOC"),
        )
        accepted(cancelled)
        await step(at)
        ends = [await state(at.thief, each) for each in (resting, *waiting)]
        assert {status for status, _ in ends} == {"CANCELLED"}, ends
        assert await at.exchange.value(OPEN_ORDERS, at.thief.user) == 0
    return [await sell(at.thief, "0.3")]


@attack
async def a_timer_ends_what_is_amended_and_leaves_the_stop(at: Scene) -> list[Reply]:
    """The plain SELL ends with the amend that would enlarge it; the stop stays, and counts; then another timer ends it too."""
    await run_command(at.exchange, AdvanceClock(now()))
    resting, protective = await sell(at.thief, "0.05"), await stop(at.thief)
    accepted(resting, protective)
    await step(at)
    assert (await count_down(at.thief, 1_000, scope="NON_REDUCE_ONLY")).status == 200
    await step(at)
    accepted(await amend(at.thief, resting, quantity="0.08"))
    early = await sell(at.thief, "0.05")
    await run_command(at.exchange, AdvanceClock(Timestamp(now() + 2_000_000)))
    assert await findings_of(at.exchange) == []
    assert [await state(at.thief, each) for each in (resting, protective)] == [
        *(("CANCELLED", "DEAD_MAN"), ("UNTRIGGERED", None))
    ]
    refused = [early, await sell(at.thief, "0.2")]
    await at.last("59900")
    assert (await state(at.thief, protective))[0] == "TRIGGERED"
    refused += [await sell(at.thief, "0.2")]
    assert (await count_down(at.thief, 1_000)).status == 200
    await step(at)
    await run_command(at.exchange, AdvanceClock(Timestamp(now() + 60_000_000)))
    assert await state(at.thief, protective) == ("CANCELLED", "DEAD_MAN")
    return [*refused, await sell(at.thief, "0.3")]


@attack
async def a_tier_is_crossed_by_stops_amends_and_oco(at: Scene) -> list[Reply]:
    """Above 6,500 each unit needs 20 %: 7,200 needs 465, and equity is 349, whichever way the order gets there."""
    await set_limits(at.exchange, _tier(6_500, "0.05"), _tier(100_000, "0.2"))
    resting = await at.thief.order(quantity="0.005", price="59000")
    accepted(resting)
    await step(at)
    refused = [await amend(at.thief, resting, quantity="0.02"), await at.thief.order(quantity="0.02", price="59000")]
    both = {"ocoGroup": "entry", "quantity": "0.02"}
    entries = [await entry(at.thief, "0.02"), await entry(at.thief, **both), await stop(at.thief, "59900", **both)]
    await at.ask("1", "60200")
    await fired(at, *entries)
    assert await state(at.thief, entries[0]) == ("CANCELLED", "MARGIN")
    assert {await state(at.thief, each) for each in entries[1:]} == {("CANCELLED", "MARGIN"), ("CANCELLED", "OCO")}
    assert await lots_of(at) == 100
    assert spare(await account_of(at.exchange, at.thief)) >= 0
    return refused


@attack
async def the_largest_position_is_passed_by_stops_amends_and_flips(at: Scene) -> list[Reply]:
    """12,000 is the most, of a long position and of a short one; there is money for more."""
    await at.thief.deposit("5000")
    await at.ask("1", "60200")
    await at.bid("1", "59700")
    await set_limits(at.exchange, _tier(12_000, "0.05"))
    few = at._replace(mate=await at.exchange.user(), other=await at.exchange.user())
    entries = [await entry(at.thief, "0.06"), await entry(at.thief, "0.06")]
    await fired(few, *entries)
    assert [await state(at.thief, each) for each in entries] == [("FILLED", None), ("CANCELLED", "MARGIN")]
    small = await at.thief.order(quantity="0.01", price="59000")
    turn = await sell(at.thief, "0.19")
    accepted(small, turn, await stop(at.thief))
    await step(at)
    refused = [
        await amend(at.thief, small, quantity="0.06"),
        await amend(at.thief, turn, quantity="0.25"),
        await sell(at.thief, "0.02"),
    ]
    await few.last("59900")
    assert await lots_of(at) == 0
    for each in (at.mate, at.other):
        await each.call("DELETE", "/orders")
    await step(at)
    await few.bid("0.19", "61000")
    await step(at)
    assert await lots_of(at) == -190
    return refused


@attack
async def the_open_interest_is_raised_by_stops_and_amends(at: Scene) -> list[Reply]:
    """It may rise by 3,000; what reduces is free."""
    await at.thief.deposit("5000")
    await at.ask("1", "60200")
    await step(at)
    lots = await at.exchange.value("SELECT open_interest FROM progress WHERE market_id = 1")
    await set_limits(at.exchange, interest=lots * 60 + 3_000)
    too_much = await entry(at.thief, "0.06")
    await fired(at, too_much)
    assert await state(at.thief, too_much) == ("CANCELLED", "MARGIN")
    small, exit_order = await at.thief.order(quantity="0.01", price="59000"), await sell(at.thief, "0.1")
    accepted(small, exit_order, await stop(at.thief))
    refused = [await amend(at.thief, small, quantity="0.06"), await amend(at.thief, exit_order, quantity="0.16")]
    accepted(await amend(at.thief, exit_order, quantity="0.14"))
    return refused


@attack
async def leverage_changes_between_trigger_and_activation(at: Scene) -> list[Reply]:
    """The activation is judged by what it is then; a lower one must cover an amend under way."""
    waiting = await entry(at.thief, "0.01")
    accepted(waiting)
    await at.ask("1", "60200")
    await step(at)
    await at.last("60100")
    assert (await at.thief.call("POST", LEVERAGE, {"leverage": 18})).status == 200
    await activate(at.exchange)
    await step(at)
    assert await state(at.thief, waiting) == ("CANCELLED", "MARGIN")
    assert (await at.thief.call("POST", LEVERAGE, {"leverage": 20})).status == 200
    resting = await at.thief.order(quantity="0.001", price="59000")
    await step(at)
    accepted(await amend(at.thief, resting, quantity="0.01"))
    refused = [await at.thief.call("POST", LEVERAGE, {"leverage": 18}), await sell(at.thief, "0.001", leverage=18)]
    refused += [await stop(at.thief, leverage=18)]
    await step(at)
    return [*refused, await at.thief.call("POST", LEVERAGE, {"leverage": 18})]


@attack
async def money_leaves_between_trigger_and_activation(at: Scene) -> list[Reply]:
    """Then there is no margin; and what an amend under way needs does not leave."""
    resting = await at.thief.order(quantity="0.001", price="59000")
    accepted(resting)
    await step(at)
    accepted(await amend(at.thief, resting, quantity="0.01"))
    refused = [await at.thief.withdraw("30")]
    await step(at)
    accepted(await amend(at.thief, resting, quantity="0.001"))
    refused += [await at.thief.withdraw("30")]
    waiting = await entry(at.thief, "0.01")
    accepted(waiting)
    await at.ask("1", "60200")
    await step(at)
    await at.last("60100")
    assert (await at.thief.withdraw("44")).status == 201
    await activate(at.exchange)
    await step(at)
    assert await state(at.thief, waiting) == ("CANCELLED", "MARGIN")
    return refused


@attack
async def two_accounts_pass_their_positions_to_each_other(at: Scene) -> list[Reply]:
    """A poor one is short as much: both close by stops at the same trade, and each has an order that would open again."""
    poor = await at.exchange.user("350")
    accepted(await at.other.order(quantity="0.1"), await poor.order(side="SELL"))
    await step(at)
    accepted(await stop(at.thief), await stop(poor, "59900", side="BUY", type="TAKE_PROFIT_MARKET"))
    refused = [await sell(at.thief, "0.2", "60500"), await poor.order(quantity="0.2", price="59500")]
    accepted(await sell(at.thief, "0.05", "60500"), await poor.order(quantity="0.05", price="59500"))
    refused += [await sell(at.thief, "0.1", "60500"), await poor.order(quantity="0.1", price="59500")]
    await step(at)
    await at.last("59900")
    await tick(at.exchange)
    await at.bid("1", "60500")
    await at.ask("1", "59500")
    await step(at)
    assert spare(await account_of(at.exchange, poor)) >= 0
    return refused


@attack
async def trailing_stops_become_active_while_a_sell_is_amended(at: Scene) -> list[Reply]:
    """Not active yet it counts already; once it fires, the SELL stands alone."""
    trailing = {"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "0.001"}
    exit_order = await stop(at.thief, activationPrice="60200", **trailing)
    entries = [await entry(at.thief, "0.1", activationPrice="59800", **trailing) for _ in range(5)]
    resting = await sell(at.thief, "0.05")
    accepted(exit_order, resting, *entries)
    await step(at)
    refused = [await amend(at.thief, resting, quantity="0.2")]
    await at.last("60200")
    accepted(await amend(at.thief, resting, quantity="0.08"))
    await at.bid("1", "59810")
    await at.last("59800")
    assert (await state(at.thief, exit_order))[0] in {"FILLED", "TRIGGERED"}
    await tick(at.exchange)
    await at.ask("1", "60300")
    await at.last("60200")
    await activate(at.exchange)
    await step(at)
    return [*refused, await amend(at.thief, resting, quantity="0.3")]


@attack
async def a_position_grows_under_a_stop_that_has_fired(at: Scene) -> list[Reply]:
    """It found no liquidity, and is tried again: with all that the position is by then, which counts beside a SELL."""
    accepted(await stop(at.thief))
    await step(at)
    await at.last("59900")
    refused = [await sell(at.thief, "0.2")]
    accepted(await at.thief.order(quantity="0.01"))
    await at.ask("0.01", "60000")
    await step(at)
    assert await lots_of(at) == 110
    resting = await sell(at.thief, "0.05")
    refused += [await sell(at.thief, "0.1"), await amend(at.thief, resting, quantity="0.2")]
    await at.bid("2", "59800")
    await step(at)
    await tick(at.exchange)
    assert await lots_of(at) == 0
    return [*refused, await amend(at.thief, resting, quantity="0.2")]


@attack
async def a_stop_limit_is_amended_while_it_waits_and_once_it_rests(at: Scene) -> list[Reply]:
    """It stays reduce-only: larger it is cut to the position, and no farther from the mark than equity pays for."""
    limit = await stop(at.thief, type="STOP", price="59800", quantity="0.05", reduceOnly=True)
    accepted(limit)
    await step(at)
    accepted(await amend(at.thief, limit, quantity="0.1"))
    await step(at)
    await at.last("59900")
    assert (await state(at.thief, limit))[0] == "OPEN"
    await at.other.call("DELETE", "/orders")
    refused = [await amend(at.thief, limit, price="54000", quantity="5")]
    accepted(await amend(at.thief, limit, price="60010", quantity="5"))
    refused += [await sell(at.thief, "0.2")]
    await step(at)
    refused += [await sell(at.thief, "0.2")]
    await at.bid("9", "60010")
    await step(at)
    assert await lots_of(at) == 0
    return refused


@attack
async def an_entry_is_amended_before_the_engine_has_it(at: Scene) -> list[Reply]:
    """Its margin is reserved, and so is what the amend adds; a second one waits for the verdict."""
    waiting = await entry(at.thief, "0.005", type="STOP", price="60200")
    accepted(waiting)
    await step(at)
    await at.last("60100")
    await activate(at.exchange)
    refused = [await amend(at.thief, waiting, quantity="0.2")]
    accepted(await amend(at.thief, waiting, quantity="0.01"))
    assert (await amend(at.thief, waiting, quantity="0.011")).details["reason"] == "AMEND_PENDING"
    refused += [await at.thief.order(quantity="0.01", price="59000"), await at.thief.withdraw("30")]
    await step(at)
    refused += [await amend(at.thief, waiting, quantity="0.2")]
    await at.ask("1", "60200")
    await step(at)
    assert await lots_of(at) == 110
    return refused


@attack
async def a_liquidation_meets_every_kind(at: Scene) -> list[Reply]:
    """It begins between a trigger and the activation, with an amend under way: all ends, and nothing opens again."""
    resting, exit_order = await sell(at.thief, "0.01", "63000"), await stop(at.thief, "50000")
    waiting = await entry(at.thief, "0.005")
    accepted(resting, exit_order, waiting)
    await step(at)
    await at.last("60100")
    accepted(await amend(at.thief, resting, quantity="0.02"))
    await move_index(at.exchange, 56_780)
    accepted(await amend(at.thief, resting, price="62000"))
    await at.bid("1", "56780")
    await _liquidate(at)
    assert (await amend(at.thief, resting, quantity="0.05")).code == "ORDER_NOT_OPEN"
    refused = [await at.thief.order(quantity="0.001", price="56000"), await entry(at.thief, "0.001", "60200")]
    refused += [await at.thief.call("POST", LEVERAGE, {"leverage": 2}), await at.thief.withdraw("1")]
    await activate(at.exchange)
    for _ in range(3):
        await step(at)
        await _liquidate(at)
    await step(at)
    assert {await state(at.thief, each) for each in (resting, exit_order, waiting)} == {("CANCELLED", "LIQUIDATION")}
    assert await lots_of(at) == 0
    await move_index(at.exchange, 60_000)
    return refused


@attack
async def every_kind_races_for_the_same_margin(at: Scene) -> list[Reply]:
    """Amends, stops, sells, closes, entries that are activated, a timer, a cancel-all and a withdrawal at once, twice."""
    for _ in range(2):
        await at.last("60000")
        small = [await sell(at.thief, "0.001") for _ in range(4)]
        waiting = [await entry(at.thief, "0.01") for _ in range(3)]
        accepted(*waiting)
        await step(at)
        await at.last("60100")
        wishes: list[Awaitable[Any]] = [
            amend(at.thief, each, quantity="0.19", price="60900") for each in small if each.status == 202
        ]
        wishes += [
            activate(at.exchange),
            sell(at.thief, "0.19"),
            stop(at.thief),
            close(at.thief),
            at.thief.withdraw("40"),
        ]
        wishes += [
            market(at.thief, "BUY", "0.01"),
            reduce(at.thief, "0.1"),
            at.thief.cancel(waiting[0].body["orderId"]),
        ]
        wishes += [activate(at.exchange), count_down(at.thief, 1_000, scope="NON_REDUCE_ONLY")]
        wishes += [at.thief.call("DELETE", "/orders?side=BUY"), at.thief.order(quantity="0.01", price="59000")]
        await asyncio.gather(*wishes)
        await at.bid("1", "59900")
        await at.ask("1", "60200")
        await step(at)
        await at.last("59900")
        await at.bid("1", "61000")
        await step(at)
        assert spare(await account_of(at.exchange, at.thief)) >= 0
    return [await sell(at.thief, "0.5")]


async def _liquidate(at: Scene) -> None:
    """One look of the liquidator."""
    session = await connect_writer(at.exchange.dsn, "test liquidator")
    await new_liquidator(at.exchange.dsn).look(session, now())
    await session.close()


def _tier(up_to: int, rate: str) -> RiskTier:
    """A tier of this initial rate, up to so many USDC."""
    initial = Ppm(int(float(rate) * 1_000_000))
    return RiskTier(Micros(up_to * USDC), initial, Ppm(initial // 10), 1_000_000 // initial)


@pytest.mark.parametrize(
    ("name", "times"),
    [(name, 1) for name in list(ATTACKS)[::4]]  # all of them in the full size
    + [pytest.param(name, TIMES, marks=(pytest.mark.chaos, pytest.mark.timeout(600))) for name in ATTACKS],
)
async def test_no_mixed_attack_opens_more_than_margin_allows(exchange: Exchange, name: str, times: int) -> None:
    """What must be refused is refused; in the end every position is covered, both audits are clean, the fund pays nothing."""
    assert len(ATTACKS) >= 20
    fund = await exchange.value(INSURANCE)
    for _ in range(times):
        thief, mate = await long_from(exchange, "350", "0.1")
        scene = Scene(exchange, thief, mate, await exchange.user("100000000"))
        for place, reply in enumerate(await ATTACKS[name](scene)):
            assert reply.code in {"INSUFFICIENT_MARGIN", "INSUFFICIENT_BALANCE", "INVALID_ORDER"}, (place, reply.body)
        await step(scene)
        account = await account_of(exchange, thief)
        assert account.wallet >= 0
        assert spare(account) >= 0
        await set_limits(exchange)
        for client in (thief, mate, scene.other):
            await client.call("DELETE", "/orders")
        await step(scene)
    assert await _deeply(exchange) == []
    assert await exchange.value(INSURANCE) >= fund  # a liquidation pays its fee


async def _deeply(exchange: Exchange) -> list[object]:
    """What the deep audit finds."""
    session = await asyncpg.connect(exchange.dsn)
    found = await deep_audit(session)
    await session.close()
    return list(found)
