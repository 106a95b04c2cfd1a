"""Amending an order: each sentence of docs/semantics.md, "Amend", through the API, the engine and the tables.

The books are audited before the amend, while it is under way, and after its verdict.
"""

import asyncio

import asyncpg

from exchange.risk.amending import AMENDS_MAX
from exchange.risk.margin import requirement_and_equity
from schemas.commands import SetIndex
from schemas.market import RULES_FOURTH, RULES_THIRD, MarketStatus
from schemas.units import Nanos
from store.command_log.commands import append_command
from tests.api.exchange import Client, Exchange, Reply, now
from tests.api.margin_scene import account_of, findings_of, long_from, market, move_index


async def amend(client: Client, order_id: str, **fields: object) -> Reply:
    """Ask for other terms."""
    return await client.call("PUT", f"/orders/{order_id}", fields)


async def resting(exchange: Exchange, client: Client, **fields: object) -> str:
    """An order that rests."""
    placed = await client.order(**fields)
    assert placed.status == 202, placed.body
    await exchange.run_engine()
    return str(placed.body["orderId"])


async def shown(client: Client, order_id: str) -> dict[str, object]:
    """The order as its owner sees it."""
    return dict((await client.get(f"/orders/{order_id}")).body)


async def amends_of(client: Client, order_id: str) -> list[dict[str, object]]:
    """The amends in its trace."""
    return list((await client.get(f"/orders/{order_id}/trace")).body["amends"])


async def done(exchange: Exchange, client: Client, order_id: str, **fields: object) -> dict[str, object]:
    """Amend an order, with the audit clean while that is under way and afterwards; its last amend in the trace."""
    answer = await amend(client, order_id, **fields)
    assert answer.status == 202, answer.body
    assert await findings_of(exchange) == []
    await exchange.run_engine()
    assert await findings_of(exchange) == []
    return (await amends_of(client, order_id))[-1]


async def margin_of(exchange: Exchange, client: Client) -> int:
    """The requirement of the account, micros."""
    return requirement_and_equity(await account_of(exchange, client))[0]


async def test_an_amend_is_answered_202_and_gives_the_order_its_new_terms(exchange: Exchange) -> None:
    """Quantity (the total), price, or both; the answer names the command to wait for."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    answer = await amend(trader, order_id, quantity="0.05", price="59000")
    assert (answer.status, answer.body) == (202, {"orderId": order_id, "status": "PENDING_AMEND"})
    assert answer.headers["X-Command-Id"] == "BTC-PERP:3"
    assert (await shown(trader, order_id))["price"] == "60000"
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{order_id}", after="BTC-PERP:3")).body
    assert (order["quantity"], order["price"], order["status"]) == ("0.05", "59000", "OPEN")
    await done(exchange, trader, order_id, quantity="0.07")
    await done(exchange, trader, order_id, price="59500")
    order = await shown(trader, order_id)
    assert (order["quantity"], order["price"], order["remainingQuantity"]) == ("0.07", "59500", "0.07")


async def test_the_quantity_is_the_total_of_a_partly_filled_order(exchange: Exchange) -> None:
    """0.3 of 0.5 are filled: a total of 0.6 leaves 0.3 to fill, and the status stays."""
    trader, other = await exchange.user("100000"), await exchange.user("100000")
    order_id = await resting(exchange, trader, quantity="0.5")
    await other.order(side="SELL", quantity="0.3")
    await exchange.run_engine()
    await done(exchange, trader, order_id, quantity="0.6")
    order = await shown(trader, order_id)
    assert (order["quantity"], order["filledQuantity"], order["remainingQuantity"]) == ("0.6", "0.3", "0.3")
    assert (order["status"], order["cutQuantity"]) == ("PARTIALLY_FILLED", "0")


async def test_a_new_price_leaves_attached_orders_on_their_sides(exchange: Exchange) -> None:
    """BUY at 59,000 between 58,000 and 59,500, where each must stay; once a leg has ended it does not count."""
    trader = await exchange.user()
    legs = {"takeProfit": {"triggerPrice": "59500"}, "stopLoss": {"triggerPrice": "58000"}}
    placed = (await trader.order(price="59000", **legs)).body
    await exchange.run_engine()
    for price, field, limit in (
        ("58000", "stopLoss", "58000"),
        ("57000", "stopLoss", "57000"),
        ("59600", "takeProfit", "59600"),
    ):
        refused = await amend(trader, placed["orderId"], price=price)
        assert (refused.status, refused.code) == (400, "INVALID_ORDER")
        assert (refused.details["field"], refused.details["limit"]) == (f"{field}.triggerPrice", limit)
    await done(exchange, trader, placed["orderId"], price="59400", quantity="0.05")
    await trader.cancel(placed["stopLossOrderId"])
    await exchange.run_engine()
    await done(exchange, trader, placed["orderId"], price="57000")
    assert await findings_of(exchange) == []


async def test_one_amend_is_under_way_per_order(exchange: Exchange) -> None:
    """The second is 409 with reason AMEND_PENDING and the command to wait for; after the verdict the next is accepted."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    first, second = await asyncio.gather(*[amend(trader, order_id, price=price) for price in ("59000", "58000")])
    assert {first.status, second.status} == {202, 409}
    refused = first if first.status == 409 else second
    assert (refused.code, refused.details["reason"]) == ("ORDER_NOT_OPEN", "AMEND_PENDING")
    assert refused.details["commandId"] == "BTC-PERP:3"
    third = await amend(trader, order_id, price="57000")
    assert (third.status, third.details["reason"]) == (409, "AMEND_PENDING")
    await exchange.run_engine()
    await done(exchange, trader, order_id, price="57000")
    assert len(await amends_of(trader, order_id)) == 2


async def test_a_cancel_always_goes_through(exchange: Exchange) -> None:
    """While an amend is under way too; an amend after it is 409 with reason CANCEL_PENDING, after the end ENDED."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    assert (await amend(trader, order_id, quantity="0.2")).status == 202
    assert (await trader.cancel(order_id)).status == 202
    late = await amend(trader, order_id, quantity="0.3")
    assert (late.status, late.code, late.details["reason"]) == (409, "ORDER_NOT_OPEN", "CANCEL_PENDING")
    assert await findings_of(exchange) == []
    await exchange.run_engine()
    assert await findings_of(exchange) == []
    order = await shown(trader, order_id)
    assert (order["status"], order["quantity"], await margin_of(exchange, trader)) == ("CANCELLED", "0.2", 0)
    ended = await amend(trader, order_id, quantity="0.3")
    assert (ended.status, ended.details["reason"], ended.details["status"]) == (409, "ENDED", "CANCELLED")


async def test_a_cancel_of_the_same_batch_comes_before_the_amend(exchange: Exchange) -> None:
    """However they arrive: the cancel is decided first."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    amended, cancelled = await asyncio.gather(amend(trader, order_id, price="59000"), trader.cancel(order_id))
    assert cancelled.status == 202
    assert amended.status == 202 or amended.details["reason"] == "CANCEL_PENDING"
    await exchange.run_engine()
    assert (await shown(trader, order_id))["status"] == "CANCELLED"
    assert await findings_of(exchange) == []


async def test_nobody_amends_an_order_of_another_account(exchange: Exchange) -> None:
    """404, as for an id that was never given."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader)
    for name in (order_id, "BTC-PERP-999", "NONE-PERP-2", "x"):
        answer = await amend(other, name, price="59000")
        assert (answer.status, answer.code) == (404, "ORDER_NOT_FOUND")


FILTERS = [
    ({"quantity": "0.0005"}, "LOT_SIZE"),
    ({"price": "59000.05"}, "TICK_SIZE"),
    ({"quantity": "1000.001"}, "MAX_QUANTITY"),
    ({"price": "66000.1"}, "PRICE_BAND"),
    ({"quantity": "0.001", "price": "4999"}, "MIN_NOTIONAL"),
]


async def test_an_amend_has_the_filters_of_a_new_order(exchange: Exchange) -> None:
    """Refused with the same filter and numbers; the order stays."""
    trader = await exchange.user("100000")
    order_id = await resting(exchange, trader, quantity="0.001", price="59000")
    for fields, name in FILTERS:
        answer = await amend(trader, order_id, **fields)
        new = await trader.order(**({"quantity": "0.001", "price": "59000"} | fields))
        assert (answer.status, answer.code, answer.details["filter"]) == (400, "INVALID_ORDER", name)
        assert answer.details == new.details
    assert await amends_of(trader, order_id) == []


async def test_an_amend_that_is_none_is_invalid(exchange: Exchange) -> None:
    """Nothing to change, no amount, what a resting order does not have, and what no amend changes."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    for field in ("", "quantity", "price", "triggerPrice", "side"):
        answer = await amend(trader, order_id, **({field: "0"} if field else {}))
        assert (answer.status, answer.code) == (400, "INVALID_ORDER"), field


async def test_an_amend_has_the_margin_check_of_a_new_order(exchange: Exchange) -> None:
    """10,000 at leverage 20 cover 3.3 BTC, not 3.4; what a refused amend left is the order as it was."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    answer = await amend(trader, order_id, quantity="3.4")
    assert (answer.status, answer.code) == (422, "INSUFFICIENT_MARGIN")
    assert set(answer.details) == {"required", "available", "pendingCancels"}
    await done(exchange, trader, order_id, quantity="3.3")
    assert (await shown(trader, order_id))["quantity"] == "3.3"


async def test_an_amend_that_adds_nothing_needs_no_margin(exchange: Exchange) -> None:
    """After a loss the account could not place its order again, but it may make it smaller, and move it away."""
    trader, _ = await long_from(exchange, "1000", "0.3")
    order_id = await resting(exchange, trader, quantity="0.03", price="59000")
    await move_index(exchange, 58_500)
    assert (await trader.order(quantity="0.001", price="57000")).code == "INSUFFICIENT_MARGIN"
    assert (await amend(trader, order_id, quantity="0.031")).code == "INSUFFICIENT_MARGIN"
    await done(exchange, trader, order_id, quantity="0.02")
    await done(exchange, trader, order_id, price="58000")
    assert (await shown(trader, order_id))["price"] == "58000"


async def test_twenty_amends_that_race_never_use_a_dollar_twice(exchange: Exchange) -> None:
    """Ten orders, each doubled twice at once: as many are accepted as margin covers, 0.13 of 0.2."""
    trader = await exchange.user("1000")
    orders = [await resting(exchange, trader, quantity="0.02") for _ in range(10)]
    answers = await asyncio.gather(*[amend(trader, order_id, quantity="0.04") for order_id in orders * 2])
    assert [answer.status for answer in answers].count(202) == 6
    assert {answer.status for answer in answers} <= {202, 409, 422}
    required, owned = requirement_and_equity(await account_of(exchange, trader))
    assert required <= owned
    await exchange.run_engine()
    assert requirement_and_equity(await account_of(exchange, trader))[0] == required
    assert await findings_of(exchange) == []


async def test_the_queue_place_is_kept_only_when_the_price_stays_and_the_quantity_goes_down(exchange: Exchange) -> None:
    """Three bids at one price: the first made smaller stays first; made larger, it is last."""
    traders = [await exchange.user() for _ in range(2)]
    taker = await exchange.user()
    first, second = [await resting(exchange, trader, quantity="0.02") for trader in traders]
    await done(exchange, traders[0], first, quantity="0.01")
    await taker.order(side="SELL", quantity="0.005")
    await exchange.run_engine()
    assert (await shown(traders[0], first))["filledQuantity"] == "0.005"
    await done(exchange, traders[0], first, quantity="0.02")
    await taker.order(side="SELL", quantity="0.02")
    await exchange.run_engine()
    assert (await shown(traders[1], second))["status"] == "FILLED"
    assert (await shown(traders[0], first))["filledQuantity"] == "0.005"


async def test_post_only_is_checked_again(exchange: Exchange) -> None:
    """Would take: the amend is refused, with the best opposite price, and the order stays."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader, postOnly=True)
    await resting(exchange, other, side="SELL", price="60010")
    verdict = await done(exchange, trader, order_id, price="60010", quantity="0.2")
    assert (verdict["verdict"], verdict["reason"]) == ("REFUSED", "POST_ONLY_WOULD_TAKE")
    assert verdict["bestOppositePrice"] == "60010"
    order = await shown(trader, order_id)
    assert (order["status"], order["price"], order["quantity"]) == ("OPEN", "60000", "0.1")


async def test_a_quantity_at_or_below_what_has_executed_ends_the_order(exchange: Exchange) -> None:
    """CANCELLED, reason AMENDED; its margin is released."""
    trader, other = await exchange.user(), await exchange.user()
    for total in ("0.04", "0.03"):
        order_id = await resting(exchange, trader, quantity="0.1")
        await other.order(side="SELL", quantity="0.04")
        await exchange.run_engine()
        verdict = await done(exchange, trader, order_id, quantity=total)
        assert verdict["verdict"] == "ENDED_ORDER"
        order = await shown(trader, order_id)
        assert (order["status"], order["reason"], order["filledQuantity"]) == ("CANCELLED", "AMENDED", "0.04")


async def test_a_fill_on_the_way_counts_for_the_total(exchange: Exchange) -> None:
    """A total of 0.05 is asked for while 0.04 are filled; 0.06 are when the engine reads it."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader, quantity="0.1")
    await other.order(side="SELL", quantity="0.04")
    await exchange.run_engine()
    await other.order(side="SELL", quantity="0.02")
    assert (await amend(trader, order_id, quantity="0.05")).status == 202
    await exchange.run_engine()
    order = await shown(trader, order_id)
    assert (order["status"], order["reason"], order["filledQuantity"]) == ("CANCELLED", "AMENDED", "0.06")
    assert await findings_of(exchange) == []


async def test_a_price_that_crosses_makes_it_take(exchange: Exchange) -> None:
    """It trades at the maker's price as a taker, and its trace says that the amend did it; the fee goes on from before."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader)
    await other.order(side="SELL", quantity="0.03", price="60000")
    await other.order(side="SELL", quantity="0.04", price="60100")
    await exchange.run_engine()
    await done(exchange, trader, order_id, price="60200")
    fills = (await trader.get("/fills")).body
    assert [(fill["liquidityRole"], fill["price"], fill["quantity"], fill["fee"]) for fill in fills] == [
        ("TAKER", "60100", "0.04", "1.202"),
        ("MAKER", "60000", "0.03", "0.36"),
    ]
    hops = (await trader.get(f"/orders/{order_id}/trace")).body["hops"]
    filled = [hop["commandId"] for hop in hops if hop["hop"] == "FILLED"]
    assert filled == ["BTC-PERP:3", "BTC-PERP:5"]


async def test_an_amend_that_reaches_the_engine_after_the_order_ended_is_refused(exchange: Exchange) -> None:
    """It filled meanwhile: the trace says so, and what the amend added to the margin is gone."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader)
    await other.order(side="SELL", quantity="0.1")
    assert (await amend(trader, order_id, quantity="0.3", price="59000")).status == 202
    await exchange.run_engine()
    (verdict,) = await amends_of(trader, order_id)
    assert (verdict["verdict"], verdict["reason"]) == ("REFUSED", "ENDED")
    order = await shown(trader, order_id)
    assert (order["status"], order["quantity"], order["price"]) == ("FILLED", "0.1", "60000")
    assert await findings_of(exchange) == []


async def test_while_under_way_the_order_counts_with_the_larger_of_old_and_new(exchange: Exchange) -> None:
    """Lower price and more lots: until the verdict the old price on the new lots, then exactly what it is."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader, quantity="0.1", price="60000")
    assert await margin_of(exchange, trader) == 303_000_000
    assert (await amend(trader, order_id, quantity="0.2", price="50000")).status == 202
    assert await margin_of(exchange, trader) == 606_000_000
    await exchange.run_engine()
    assert await margin_of(exchange, trader) == 505_000_000
    assert (await amend(trader, order_id, quantity="0.1", price="55000")).status == 202
    assert await margin_of(exchange, trader) == 555_500_000
    await exchange.run_engine()
    assert await margin_of(exchange, trader) == 277_750_000


async def test_a_fill_in_between_releases_at_what_is_counted(exchange: Exchange) -> None:
    """0.04 of 0.1 fill at the old terms while 0.2 at another price is on the way: the books are exact after each."""
    trader, other = await exchange.user(), await exchange.user()
    order_id = await resting(exchange, trader)
    await other.order(side="SELL", quantity="0.04")
    assert (await amend(trader, order_id, quantity="0.2", price="60500")).status == 202
    before = await account_of(exchange, trader)
    await exchange.run_engine()
    after = await account_of(exchange, trader)
    required, owned = requirement_and_equity(before)
    assert requirement_and_equity(after)[1] - requirement_and_equity(after)[0] >= owned - required
    assert await findings_of(exchange) == []
    assert (await shown(trader, order_id))["remainingQuantity"] == "0.16"


async def test_a_reduce_only_order_is_amended_with_its_sums(exchange: Exchange) -> None:
    """An exit of a position: moved, made larger than the position and cut, made smaller; the sums of reduce-only orders follow."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    order_id = await resting(exchange, trader, side="SELL", quantity="0.05", price="61000", reduceOnly=True)
    await done(exchange, trader, order_id, price="62000")
    await done(exchange, trader, order_id, quantity="0.2")
    order = await shown(trader, order_id)
    assert (order["quantity"], order["cutQuantity"], order["price"]) == ("0.1", "0.1", "62000")
    await done(exchange, trader, order_id, quantity="0.03", price="59500")
    order = await shown(trader, order_id)
    assert (order["quantity"], order["cutQuantity"], order["remainingQuantity"]) == ("0.03", "0.1", "0.03")
    assert (await amend(trader, order_id, quantity="0.1")).status == 202
    assert (await market(trader, "SELL", "0.04", reduceOnly=True)).status in {202, 422}
    assert await findings_of(exchange) == []
    await exchange.run_engine()
    assert await findings_of(exchange) == []


async def test_history_shows_the_present_terms_and_each_amend_with_its_sequence_and_verdict(exchange: Exchange) -> None:
    """GET shows what the order is; the trace shows how it came to that."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader, clientOrderId="mine")
    await done(exchange, trader, order_id, quantity="0.2", price="59000")
    assert (await amend(trader, order_id, price="58000")).status == 202
    first, second = await amends_of(trader, order_id)
    assert first.pop("requestedAt")
    assert first == {
        "commandId": "BTC-PERP:3",
        "addedQuantity": "0.1",
        "price": "59000",
        "verdict": "DONE",
        "amendedPrice": "59000",
        "amendedQuantity": "0.2",
        "eventId": await exchange.value("SELECT 'BTC-PERP:' || event_seq FROM progress WHERE market_id = 1"),
    }
    assert (second["commandId"], second["verdict"], second["addedQuantity"]) == ("BTC-PERP:4", "PENDING", "0")
    assert "eventId" not in second


async def test_a_repeated_client_order_id_is_compared_with_the_first_submission(exchange: Exchange) -> None:
    """Not with the amended terms."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader, clientOrderId="mine")
    await done(exchange, trader, order_id, quantity="0.2", price="59000")
    again = await trader.order(clientOrderId="mine")
    assert (again.status, again.body["orderId"]) == (200, order_id)
    assert (await trader.order(clientOrderId="mine", quantity="0.2", price="59000")).status == 409


async def test_an_order_is_amended_at_most_ten_thousand_times(exchange: Exchange) -> None:
    """The next is refused, filter MAX_AMENDS."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    await exchange.execute("UPDATE orders SET amend_count = $1", AMENDS_MAX - 1)
    assert (await amend(trader, order_id, price="59000")).status == 202
    await exchange.run_engine()
    answer = await amend(trader, order_id, price="58000")
    assert (answer.status, answer.details) == (400, {"filter": "MAX_AMENDS", "limit": 10_000, "got": 10_001})
    assert (await trader.cancel(order_id)).status == 202


async def test_an_order_that_the_engine_has_not_seen_can_be_amended(exchange: Exchange) -> None:
    """A bot need not wait for its own order; one that never rests cannot be amended."""
    trader = await exchange.user()
    order_id = (await trader.order()).body["orderId"]
    assert (await amend(trader, order_id, price="59000")).status == 202
    assert await findings_of(exchange) == []
    fleeting = (await trader.order(timeInForce="IOC")).body["orderId"]
    refused = await amend(trader, fleeting, price="59000")
    assert (refused.status, refused.code) == (400, "INVALID_ORDER")
    await exchange.run_engine()
    assert (await shown(trader, order_id))["price"] == "59000"
    assert await findings_of(exchange) == []


async def test_a_market_of_older_rules_does_not_know_amends(exchange: Exchange) -> None:
    """409 with the reason RULES, and what the operator does about it."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    await exchange.execute("UPDATE markets SET rules = $1", RULES_THIRD)
    answer = await amend(trader, order_id, price="59000")
    assert (answer.status, answer.code, answer.details["reason"]) == (409, "MARKET_NOT_ACTIVE", "RULES")
    assert f"market rules BTC-PERP {RULES_FOURTH}" in answer.body["error"]["message"]


async def test_a_closed_market_amends_nothing(exchange: Exchange) -> None:
    """As it accepts no new order."""
    trader = await exchange.user()
    order_id = await resting(exchange, trader)
    await exchange.execute("UPDATE markets SET status = $1", MarketStatus.CANCEL_ONLY)
    answer = await amend(trader, order_id, quantity="0.05")
    assert (answer.status, answer.code) == (409, "MARKET_NOT_ACTIVE")


async def test_a_conditional_order_is_amended_once_it_rests(exchange: Exchange) -> None:
    """After it has fired, its limit order is one like any other, also in the margin sums."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    stop = {"type": "STOP", "side": "SELL", "price": "59400", "triggerPrice": "59500", "reduceOnly": True}
    order_id = await resting(exchange, trader, **stop)
    assert (await shown(trader, order_id))["status"] == "UNTRIGGERED"
    await move_index(exchange, 59_450)
    assert (await shown(trader, order_id))["status"] == "OPEN"
    verdict = await done(exchange, trader, order_id, price="59600", quantity="0.08")
    order = await shown(trader, order_id)
    assert (verdict["verdict"], order["price"], order["quantity"]) == ("DONE", "59600", "0.08")
    assert (await amend(trader, order_id, quantity="0.02")).status == 202
    assert (await trader.cancel(order_id)).status == 202
    await exchange.run_engine()
    assert (await shown(trader, order_id))["status"] == "CANCELLED"
    assert await findings_of(exchange) == []


async def test_an_amended_order_that_fills_ends_its_oco_group_and_wakes_its_legs(exchange: Exchange) -> None:
    """By an amend that takes, as by any fill."""
    trader, other = await exchange.user(), await exchange.user()
    legs = {"stopLoss": {"triggerPrice": "58000"}, "ocoGroup": "either"}
    first = await resting(exchange, trader, price="59000", **legs)
    second = await resting(exchange, trader, price="59100", ocoGroup="either")
    await resting(exchange, other, side="SELL", quantity="0.05", price="60000")
    await done(exchange, trader, first, price="60000")
    assert (await shown(trader, second))["reason"] == "OCO"
    leg = str((await shown(trader, first))["stopLossOrderId"])
    assert (await shown(trader, leg))["status"] == "UNTRIGGERED"
    await move_index(exchange, 57_900)
    assert (await shown(trader, leg))["status"] == "TRIGGERED"
    assert await findings_of(exchange) == []


STOP = {"type": "STOP_MARKET", "side": "SELL", "price": None, "triggerPrice": "59000", "reduceOnly": True}


async def test_a_stop_fires_where_its_trigger_was_moved_to(exchange: Exchange) -> None:
    """Not where it was: the order shows its present trigger, the trace each move of it."""
    trader, other = await long_from(exchange, "10000", "0.1")
    order_id = await resting(exchange, trader, **STOP)
    verdict = await done(exchange, trader, order_id, triggerPrice="58000")
    assert (verdict["verdict"], verdict["triggerPrice"], verdict["amendedTriggerPrice"]) == ("DONE", "58000", "58000")
    assert (verdict["addedQuantity"], "price" in verdict, "amendedPrice" in verdict) == ("0", False, False)
    assert (await shown(trader, order_id))["triggerPrice"] == "58000"
    await other.order(side="BUY", quantity="0.1", price="57500")
    await move_index(exchange, 58_500)
    assert (await shown(trader, order_id))["status"] == "UNTRIGGERED"
    await move_index(exchange, 57_900)
    order = await shown(trader, order_id)
    assert (order["status"], order["filledQuantity"]) == ("FILLED", "0.1")
    assert await findings_of(exchange) == []


async def test_a_trigger_that_holds_when_the_amend_arrives_fires_at_once(exchange: Exchange) -> None:
    """The mark falls while the amend is on its way: accepted above the trigger, it meets the mark below it."""
    trader, other = await long_from(exchange, "10000", "0.1")
    order_id = await resting(exchange, trader, **STOP)
    await other.order(side="BUY", quantity="0.1", price="59100")
    session = await asyncpg.connect(exchange.dsn)
    await append_command(session, "BTC-PERP", SetIndex(now(), Nanos(59_300 * 10**9)))
    await session.close()
    assert (await amend(trader, order_id, triggerPrice="59500")).status == 202
    await exchange.run_engine()
    assert (await shown(trader, order_id))["status"] == "FILLED"
    hops = (await trader.get(f"/orders/{order_id}/trace")).body["hops"]
    assert [hop["commandId"] for hop in hops if hop["hop"] == "TRIGGERED"] == ["BTC-PERP:7"]
    assert await findings_of(exchange) == []


async def test_the_quantity_of_a_waiting_exit_counts_with_the_lots_added(exchange: Exchange) -> None:
    """From the accepting transaction on, then exactly what it is: raised, lowered, and with the limit moved."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    order_id = await resting(exchange, trader, **STOP | {"type": "STOP", "price": "58900", "quantity": "0.04"})

    async def waiting_lots() -> object:
        return await exchange.value("SELECT waiting_sell_lots FROM positions WHERE user_id = $1", trader.user)

    assert await waiting_lots() == 40
    assert (await amend(trader, order_id, quantity="0.07", price="58800")).status == 202
    assert await waiting_lots() == 70
    assert (await amend(trader, order_id, quantity="0.08")).details["reason"] == "AMEND_PENDING"
    assert await findings_of(exchange) == []
    await exchange.run_engine()
    assert await findings_of(exchange) == []
    order = await shown(trader, order_id)
    assert (await waiting_lots(), order["quantity"], order["price"], order["cutQuantity"]) == (70, "0.07", "58800", "0")
    assert (await amend(trader, order_id, quantity="0.02")).status == 202
    assert await waiting_lots() == 70
    await exchange.run_engine()
    assert await waiting_lots() == 20
    assert (await amend(trader, order_id, quantity="0.05")).status == 202
    assert (await trader.cancel(order_id)).status == 202
    await exchange.run_engine()
    assert (await waiting_lots(), (await shown(trader, order_id))["quantity"]) == (0, "0.05")
    assert await findings_of(exchange) == []


async def test_an_amend_that_comes_after_the_trigger_is_refused(exchange: Exchange) -> None:
    """On its way it was a waiting order; it is one that rests, or waits to be tried again, when the amend arrives."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    resting_stop = await resting(exchange, trader, **STOP | {"type": "STOP", "price": "58900", "quantity": "0.04"})
    stop = await resting(exchange, trader, **STOP | {"quantity": "0.05"})
    session = await asyncpg.connect(exchange.dsn)
    await append_command(session, "BTC-PERP", SetIndex(now(), Nanos(58_950 * 10**9)))
    await session.close()
    for order_id in (resting_stop, stop):
        assert (await amend(trader, order_id, quantity="0.06", triggerPrice="58000")).status == 202
    assert await findings_of(exchange) == []
    await exchange.run_engine()
    for order_id, status, quantity in ((resting_stop, "OPEN", "0.04"), (stop, "TRIGGERED", "0.05")):
        (verdict,) = await amends_of(trader, order_id)
        assert (verdict["verdict"], verdict["reason"]) == ("REFUSED", "TRIGGERED")
        order = await shown(trader, order_id)
        assert (order["status"], order["quantity"], order["triggerPrice"]) == (status, quantity, "59000")
    assert await findings_of(exchange) == []
    late = await amend(trader, stop, quantity="0.02")
    assert (late.status, late.code, late.details["reason"]) == (409, "ORDER_NOT_OPEN", "TRIGGERED")
    await done(exchange, trader, resting_stop, price="59500")


async def test_a_waiting_order_has_the_filters_of_a_new_one(exchange: Exchange) -> None:
    """WOULD_TRIGGER for a new trigger, the grid, and what such an order does not have; the order stays."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    stop = await resting(exchange, trader, **STOP)
    for fields, name in (
        ({"triggerPrice": "60000"}, "WOULD_TRIGGER"),
        ({"triggerPrice": "58000.05"}, "TICK_SIZE"),
        ({"quantity": "0.0005"}, "LOT_SIZE"),
        ({"quantity": "1000.001"}, "MAX_QUANTITY"),
    ):
        answer, new = await amend(trader, stop, **fields), await trader.order(**STOP | fields)
        assert (answer.status, answer.code, answer.details["filter"]) == (400, "INVALID_ORDER", name)
        assert answer.details == new.details
    closing = await resting(exchange, trader, **STOP | {"quantity": None, "closePosition": True, "reduceOnly": False})
    trailing = {"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "0.01"}
    trail = await resting(exchange, trader, **STOP | trailing)
    for order_id, field in ((stop, "price"), (closing, "quantity"), (trail, "triggerPrice")):
        answer = await amend(trader, order_id, **{field: "1"})
        assert (answer.status, answer.code, answer.details) == (400, "INVALID_ORDER", {"field": field})
    assert await amends_of(trader, stop) == []
    await done(exchange, trader, trail, quantity="0.05")
    await done(exchange, trader, closing, triggerPrice="57000")
    assert await findings_of(exchange) == []


async def test_a_leg_is_amended_before_its_parent_fills(exchange: Exchange) -> None:
    """Its trigger is then beyond the price of the parent, not of now."""
    trader, other = await exchange.user(), await exchange.user()
    parent = await resting(exchange, trader, price="59000", takeProfit={"triggerPrice": "59500"})
    leg = str((await shown(trader, parent))["takeProfitOrderId"])
    assert (await amend(trader, leg, triggerPrice="58900")).details["filter"] == "WOULD_TRIGGER"
    await done(exchange, trader, leg, triggerPrice="59700")
    await move_index(exchange, 59_000)
    await other.order(side="SELL", price="59000")
    await exchange.run_engine()
    await move_index(exchange, 59_600)
    assert (await shown(trader, leg))["status"] == "UNTRIGGERED"
    await move_index(exchange, 59_700)
    assert (await shown(trader, leg))["status"] == "TRIGGERED"
    assert await findings_of(exchange) == []


async def test_a_leg_and_its_parent_are_amended_one_after_the_other(exchange: Exchange) -> None:
    """Each is judged by the stored price of the other, so the second waits for the first; those of two legs do not."""
    trader = await exchange.user()
    legs = {"takeProfit": {"triggerPrice": "59500"}, "stopLoss": {"triggerPrice": "58000"}}
    parent = await resting(exchange, trader, price="59000", **legs)
    placed = await shown(trader, parent)
    leg, other_leg = str(placed["takeProfitOrderId"]), str(placed["stopLossOrderId"])
    assert (await amend(trader, leg, triggerPrice="59100")).status == 202
    assert (await amend(trader, other_leg, triggerPrice="58100")).status == 202
    refused = await amend(trader, parent, price="59400")
    assert (refused.status, refused.details["reason"]) == (409, "AMEND_PENDING")
    await exchange.run_engine()
    assert (await amend(trader, parent, price="59400")).details["field"] == "takeProfit.triggerPrice"
    first, second = await asyncio.gather(amend(trader, parent, price="58900"), amend(trader, leg, triggerPrice="59050"))
    assert {first.status, second.status} == {202, 409}
    await exchange.run_engine()
    await done(exchange, trader, parent, price="59000")
    assert await findings_of(exchange) == []


async def test_a_waiting_parent_keeps_its_legs_on_their_sides(exchange: Exchange) -> None:
    """Its new trigger, where it has no limit, may not pass the trigger of an order attached to it."""
    trader = await exchange.user()
    entry = {"type": "STOP_MARKET", "price": None, "triggerPrice": "61000", "takeProfit": {"triggerPrice": "62000"}}
    order_id = await resting(exchange, trader, **entry)
    refused = await amend(trader, order_id, triggerPrice="62500")
    assert (refused.status, refused.details["field"]) == (400, "takeProfit.triggerPrice")
    await done(exchange, trader, order_id, triggerPrice="61500", quantity="0.2")
    order = await shown(trader, order_id)
    assert (order["triggerPrice"], order["quantity"]) == ("61500", "0.2")
