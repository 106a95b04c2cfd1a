"""Twenty ways to open more than margin allows by stops, OCO groups and attached orders, next to plain and reduce-only ones.

As in test_margin_thefts: the thief is long 0.1 from 60,000 with some 349. Conditions are about the last price, which the
accomplice moves by trading with a third account, so the mark stays. Every attack returns the answers that must be refusals.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from tests.api.exchange import Client, Exchange, Reply
from tests.api.margin_scene import account_of, close, findings_of, long_from, spare
from tests.api.test_conditional_orders import activate, tick

TIMES = 20
INSURANCE = "SELECT sum(amount) FROM ledger WHERE account = house_account('insurance')"


class Scene(NamedTuple):
    """The exchange, the thief, an accomplice with any amount of money, and the one that the accomplice trades with."""

    exchange: Exchange
    thief: Client
    mate: Client
    other: Client

    async def last(self, price: str) -> None:
        """A trade at this price, between the accomplice and the other, and what it fires."""
        await self.other.order(quantity="0.001", price=price)
        await self.mate.order(side="SELL", quantity="0.001", price=price, timeInForce="IOC")
        await self.exchange.run_engine()

    async def bid(self, quantity: str, price: str) -> None:
        """The other's bid."""
        assert (await self.other.order(quantity=quantity, price=price)).status == 202

    async def ask(self, quantity: str, price: str) -> None:
        """The accomplice's offer."""
        assert (await self.mate.order(side="SELL", quantity=quantity, price=price)).status == 202


Attack = Callable[[Scene], Awaitable[list[Reply]]]
ATTACKS: dict[str, Attack] = {}


def attack(run: Attack) -> Attack:
    """Returns the answers that must be refusals."""
    ATTACKS[run.__name__] = run
    return run


async def stop(thief: Client, trigger: str = "59900", **fields: Any) -> Reply:
    """A stop on the last price; it closes the position, unless it has a quantity."""
    usual = {"side": "SELL", "type": "STOP_MARKET", "price": None, "workingType": "LAST", "triggerPrice": trigger}
    closes = {} if "quantity" in fields else {"quantity": None, "closePosition": True}
    return await thief.order(**(usual | closes | fields))


async def sell(thief: Client, quantity: str, price: str = "61000", **fields: Any) -> Reply:
    """A plain limit SELL."""
    return await thief.order(side="SELL", quantity=quantity, price=price, **fields)


def accepted(*replies: Reply) -> None:
    """All of them were."""
    assert [reply.status for reply in replies] == [202] * len(replies), [reply.body for reply in replies]


@attack
async def a_stop_hides_a_naked_sell(at: Scene) -> list[Reply]:
    """The stop closes the position, and leaves the plain SELL 0.2 to open."""
    accepted(await stop(at.thief))
    return [await sell(at.thief, "0.2")]


@attack
async def a_naked_sell_hides_behind_the_position(at: Scene) -> list[Reply]:
    """SELL 0.2 is covered while the position is there; then a stop of any kind would take it away."""
    accepted(await sell(at.thief, "0.2"))
    trailing = {"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "0.01"}
    limit = {"type": "STOP", "price": "59800", "quantity": "0.1", "reduceOnly": True}
    return [
        await stop(at.thief),
        await stop(at.thief, quantity="0.1", reduceOnly=True),
        await stop(at.thief, **trailing),
        await stop(at.thief, **limit),
    ]


@attack
async def many_small_stops(at: Scene) -> list[Reply]:
    """Each alone is nothing; together they take the position from under SELL 0.2."""
    accepted(*[await stop(at.thief, quantity="0.01", reduceOnly=True) for _ in range(10)])
    return [await sell(at.thief, "0.2")]


@attack
async def legs_of_a_small_order_close_the_whole_position(at: Scene) -> list[Reply]:
    """A BUY 0.001 brings a stop-loss for everything along."""
    accepted(await sell(at.thief, "0.2"))
    leg = {"triggerPrice": "59000"}
    return [await at.thief.order(quantity="0.001", price="59500", stopLoss=leg)]


@attack
async def one_oco_group_is_counted_once(at: Scene) -> list[Reply]:
    """Both could fill before the engine has ended the other."""
    accepted(await stop(at.thief, ocoGroup="one"))
    return [await sell(at.thief, "0.2", ocoGroup="one")]


@attack
async def twenty_entries_fire_on_one_balance(at: Scene) -> list[Reply]:
    """They need nothing while they wait; of those that fire as many are activated as the margin covers."""
    accepted(*[await stop(at.thief, "60100", side="BUY", quantity="0.1") for _ in range(20)])
    await at.ask("5", "60200")
    await at.exchange.run_engine()
    await at.last("60100")
    await asyncio.gather(activate(at.exchange), activate(at.exchange))
    await at.exchange.run_engine()
    return []


@attack
async def entries_on_both_sides_fire_at_once(at: Scene) -> list[Reply]:
    """A BUY and a SELL of 0.3 each, which fire by two trades, are judged one after the other."""
    accepted(await stop(at.thief, "60100", side="BUY", quantity="0.3"), await stop(at.thief, "59900", quantity="0.3"))
    await at.exchange.run_engine()
    await at.last("60100")
    await at.last("59900")
    await activate(at.exchange)
    await at.ask("5", "60200")
    await at.bid("5", "59800")
    await at.exchange.run_engine()
    return []


@attack
async def a_triggered_entry_is_forgotten(at: Scene) -> list[Reply]:
    """While it waits for its margin, the thief uses that margin: then the order ends."""
    entry = await stop(at.thief, "60100", side="BUY", quantity="0.01")
    await at.exchange.run_engine()
    await at.last("60100")
    accepted(await sell(at.thief, "0.2"))
    refused = [await at.thief.withdraw("49"), await sell(at.thief, "0.1")]
    await activate(at.exchange)
    await at.exchange.run_engine()
    assert (await at.thief.get(entry.headers["Location"])).body["status"] != "TRIGGERED"
    return refused


@attack
async def a_lower_leverage_comes_with_a_stop(at: Scene) -> list[Reply]:
    """It would count for the position too, and must be covered; so must be a higher one than there is."""
    return [
        await stop(at.thief, leverage=2),
        await stop(at.thief, side="BUY", trigger="61000", quantity="1", leverage=1),
        await stop(at.thief, leverage=21),
    ]


@attack
async def money_leaves_beside_a_stop(at: Scene) -> list[Reply]:
    """The stop adds nothing, and frees nothing."""
    accepted(await stop(at.thief))
    return [await at.thief.withdraw("50"), await at.thief.withdraw("349")]


@attack
async def a_stop_and_a_close_fire_together(at: Scene) -> list[Reply]:
    """Both find the position, and close it once, at the worst prices they may get."""
    await at.bid("1", "59400")
    accepted(await stop(at.thief), await close(at.thief))
    await at.exchange.run_engine()
    assert (await at.thief.get("/positions")).body == []
    return []


@attack
async def a_stop_and_a_take_profit_fill_both(at: Scene) -> list[Reply]:
    """A resting take-profit for the whole position is cut by what the stop fills."""
    accepted(await at.thief.order(side="SELL", price="60500", reduceOnly=True), await stop(at.thief))
    await at.bid("1", "59800")
    await at.exchange.run_engine()
    await at.last("59900")
    await at.bid("1", "60500")
    await at.exchange.run_engine()
    assert (await at.thief.get("/positions")).body == []
    return []


@attack
async def a_stop_larger_than_the_position(at: Scene) -> list[Reply]:
    """It closes what there is; while it waits, all of it counts beside a plain SELL."""
    accepted(await stop(at.thief, quantity="5", reduceOnly=True))
    refused = [await sell(at.thief, "0.11")]
    await at.bid("9", "59800")
    await at.exchange.run_engine()
    await at.last("59900")
    assert (await at.thief.get("/positions")).body == []
    return refused


@attack
async def a_protective_remainder_is_taken_for_done(at: Scene) -> list[Reply]:
    """A stop that found no liquidity is TRIGGERED and is tried again: it counts until it ends."""
    accepted(await stop(at.thief))
    await at.exchange.run_engine()
    await at.last("59900")
    await at.last("60000")
    refused = [await sell(at.thief, "0.2")]
    await at.bid("1", "59800")
    await tick(at.exchange)
    assert (await at.thief.get("/positions")).body == []
    return refused


@attack
async def a_cancelled_stop_still_counts(at: Scene) -> list[Reply]:
    """It may fire before its cancel arrives, and leave the plain SELL 0.2 to open."""
    waiting = await stop(at.thief)
    await at.thief.cancel(waiting.body["orderId"])
    refused = await sell(at.thief, "0.2")
    assert refused.details["pendingCancels"] == 1
    return [refused]


@attack
async def a_triggered_entry_is_cancelled_while_it_is_activated(at: Scene) -> list[Reply]:
    """Whichever is first: it ends, or it is covered."""
    entry = await stop(at.thief, "60100", side="BUY", quantity="0.01")
    await at.exchange.run_engine()
    await at.last("60100")
    await asyncio.gather(activate(at.exchange), at.thief.cancel(entry.body["orderId"]), activate(at.exchange))
    await at.ask("1", "60200")
    await at.exchange.run_engine()
    return []


@attack
async def a_stop_fires_where_there_is_no_position(at: Scene) -> list[Reply]:
    """Reduce-only, in a flat market: it ends."""
    waiting = await stop(at.thief, "3100", marketId="ETH-PERP", side="BUY", workingType="MARK")
    accepted(waiting)
    await at.mate.order(marketId="ETH-PERP", side="SELL", quantity="1", price="3000")
    await at.exchange.run_engine()
    assert (await at.thief.get(waiting.headers["Location"])).body["status"] == "UNTRIGGERED"
    return [await stop(at.thief, "2900", marketId="ETH-PERP", side="BUY", workingType="MARK")]


@attack
async def a_batch_of_stops_and_sells_in_turn(at: Scene) -> list[Reply]:
    """Each order sees the ones before it: at most one plain SELL fits beside a stop."""
    base = {"marketId": "BTC-PERP", "side": "SELL"}
    waiting = {"type": "STOP_MARKET", "triggerPrice": "59900", "closePosition": True}
    orders = [
        base | (waiting if n % 2 == 0 else {"type": "LIMIT", "price": "61000", "quantity": "0.2"}) for n in range(20)
    ]
    reply = await at.thief.call("POST", "/orders/batch", {"orders": orders})
    assert all(each["error"] is not None for each in reply.body["orders"][1::2])
    return []


@attack
async def twenty_requests_race_for_the_same_margin(at: Scene) -> list[Reply]:
    """Stops, sells, closes and legs at once: never a SELL 0.2 beside what takes the position away."""
    sells = [sell(at.thief, "0.2") for _ in range(7)]
    others = [stop(at.thief) for _ in range(7)] + [close(at.thief) for _ in range(6)]
    replies = await asyncio.gather(*sells, *others)
    is_sold = any(reply.status == 202 for reply in replies[:7])
    assert not (is_sold and any(reply.status == 202 for reply in replies[7:]))
    return []


@attack
async def attached_orders_open_on_the_other_side(at: Scene) -> list[Reply]:
    """Legs of a SELL that turns the position around close what it opens, and nothing more."""
    legs = {"takeProfit": {"triggerPrice": "59000"}, "stopLoss": {"triggerPrice": "60500", "workingType": "LAST"}}
    accepted(await sell(at.thief, "0.15", "60000", **legs))
    await at.bid("1", "60000")
    await at.ask("9", "60510")
    await at.exchange.run_engine()
    await at.last("60505")
    assert (await at.thief.get("/positions")).body == []
    return [await at.thief.order(quantity="5", price="60000", stopLoss={"triggerPrice": "59000"})]


@pytest.mark.parametrize(
    ("name", "times"),
    [(name, 1) for name in list(ATTACKS)[::2]]  # all of them in the full size
    + [pytest.param(name, TIMES, marks=(pytest.mark.chaos, pytest.mark.timeout(600))) for name in ATTACKS],
)
async def test_no_attack_by_conditional_orders_opens_more_than_margin_allows(
    exchange: Exchange, name: str, times: int
) -> None:
    """What must be refused is refused; in the end every position is covered, the books are right, the fund is untouched."""
    assert len(ATTACKS) >= 20
    fund = await exchange.value(INSURANCE)
    for _ in range(times):
        thief, mate = await long_from(exchange, "350", "0.1")
        scene = Scene(exchange, thief, mate, await exchange.user("100000000"))
        for reply in await ATTACKS[name](scene):
            assert reply.code in {"INSUFFICIENT_MARGIN", "INSUFFICIENT_BALANCE", "INVALID_ORDER"}, reply.body
        await exchange.run_engine()
        account = await account_of(exchange, thief)
        assert account.wallet >= 0
        assert spare(account) >= 0
        assert await findings_of(exchange) == []
        for client in (thief, mate, scene.other):
            await client.call("DELETE", "/orders")
        await exchange.run_engine()
    assert await exchange.value(INSURANCE) == fund
