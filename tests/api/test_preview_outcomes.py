"""A preview runs the engine on the stored book: it says what becomes of the order, and the order then becomes just that."""

from typing import Any

import pytest

from store.submission import reachable_book
from tests.api.exchange import Client, Exchange, Reply
from tests.api.margin_scene import long_from, move_index

OPEN = {"status": "OPEN", "reason": None, "filledQuantity": "0"}
MAKER, TAKER, BOTH = "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"


async def preview(client: Client, **fields: Any) -> Reply:
    """Ask what becomes of an order."""
    reply = await client.preview(**fields)
    assert reply.status == 200, reply.body
    return reply


async def offers(exchange: Exchange, *offers: tuple[str, str], **fields: Any) -> Client:
    """Somebody's offers, quantity and price of each, resting in the book."""
    bob = await exchange.user("1000000")
    for quantity, price in offers:
        assert (await bob.order(side="SELL", quantity=quantity, price=price, **fields)).status == 202
    await exchange.run_engine()
    return bob


async def both(exchange: Exchange, client: Client, **fields: Any) -> dict[str, Any]:
    """The outcome that the preview names, after the order was placed and did just that."""
    outcome = (await preview(client, **fields)).body["outcome"]
    placed = await client.order(**fields)
    assert placed.status == 202, placed.body
    await exchange.run_engine()
    order = (await client.get(f"/orders/{placed.body['orderId']}")).body
    for name in ("status", "reason", "filledQuantity", "remainingQuantity", "cutQuantity", "averagePrice"):
        assert outcome[name] == order[name], name
    assert outcome["bestOppositePrice"] == order["bestOppositePrice"]
    held = {each["marketId"]: each for each in (await client.get("/positions")).body}.get("BTC-PERP")
    shown = held and {name: held[name] for name in ("side", "quantity", "entryPrice", "liquidationPrice")}
    assert outcome["position"] == shown
    return outcome  # type: ignore[no-any-return]  # a decoded body


async def test_a_post_only_order_that_would_take_is_rejected(exchange: Exchange) -> None:
    """At an offer it meets, at one of its own too; the price below it rests."""
    bob, alice = await offers(exchange, ("0.1", "60010")), await exchange.user()
    outcome = await both(exchange, alice, price="60020", postOnly=True)
    assert (outcome["status"], outcome["reason"]) == ("REJECTED", "POST_ONLY_WOULD_TAKE")
    assert (outcome["bestOppositePrice"], outcome["fills"]) == ("60010", [])
    own = await both(exchange, bob, price="60010", postOnly=True)
    assert own["reason"] == "POST_ONLY_WOULD_TAKE"
    assert (await both(exchange, alice, price="60009.9", postOnly=True)).items() >= OPEN.items()


async def test_a_fill_or_kill_order_fills_whole_or_not_at_all(exchange: Exchange) -> None:
    """Of 0.2 at two prices, 0.3 is too much; 0.2 costs 6,000 + 6,001 and 6.0005 of fees."""
    await offers(exchange, ("0.1", "60000"), ("0.1", "60010"), ("0.5", "60020"))
    alice = await exchange.user()
    outcome = await both(exchange, alice, quantity="0.3", price="60010", timeInForce="FOK")
    assert (outcome["status"], outcome["reason"]) == ("EXPIRED", "FOK_UNFILLABLE")
    assert (outcome["fills"], outcome["fee"], outcome["position"]) == ([], "0", None)
    outcome = await both(exchange, alice, quantity="0.2", price="60010", timeInForce="FOK")
    assert (outcome["status"], outcome["averagePrice"], outcome["fee"]) == ("FILLED", "60005", "6.0005")
    assert outcome["fills"] == [{"price": "60000", "quantity": "0.1"}, {"price": "60010", "quantity": "0.1"}]
    assert (await alice.get("/balances")).body[0]["total"] == "9993.9995"


async def test_what_does_not_fill_rests_or_expires(exchange: Exchange) -> None:
    """0.1 of 0.3 is there, of two makers at one price: an IOC order ends, a GTC order rests with 0.2."""
    await offers(exchange, ("0.06", "60000"), ("0.04", "60000"))
    alice = await exchange.user()
    outcome = (await preview(alice, quantity="0.3", timeInForce="IOC")).body["outcome"]
    assert (outcome["status"], outcome["reason"]) == ("EXPIRED", "IOC_REMAINDER")
    assert outcome["fills"] == [{"price": "60000", "quantity": "0.1"}]
    outcome = await both(exchange, alice, quantity="0.3")
    assert (outcome["status"], outcome["remainingQuantity"]) == ("PARTIALLY_FILLED", "0.2")
    assert (outcome["averagePrice"], outcome["fee"]) == ("60000", "3")


async def test_a_market_order_ends_at_its_protection_or_the_end_of_the_book(exchange: Exchange) -> None:
    """With a bound of 6 the offer at 60,010 is beyond it; with the usual one of 600 both are taken, and no more is there."""
    await offers(exchange, ("0.1", "60000"), ("0.1", "60010"))
    alice = await exchange.user()
    wish = {"type": "MARKET", "price": None, "quantity": "0.3"}
    outcome = (await preview(alice, **wish)).body["outcome"]
    assert (outcome["reason"], outcome["filledQuantity"]) == ("NO_LIQUIDITY", "0.2")
    outcome = await both(exchange, alice, **wish, maxSlippage="0.0001")
    assert (outcome["status"], outcome["reason"], outcome["filledQuantity"]) == ("EXPIRED", "PRICE_BAND", "0.1")


async def test_a_reduce_only_order_is_cut_to_the_position(exchange: Exchange) -> None:
    """Long 0.1 from 60,000: of a SELL 0.15 at 59,990, 0.05 are cut, and 0.1 realize a loss of 1."""
    trader, rich = await long_from(exchange, "1000", "0.1")
    flat = await exchange.user()
    refused = (await preview(flat, side="SELL", reduceOnly=True, price="59990")).body
    assert (refused["isAccepted"], refused["outcome"]["reason"]) == (True, "REDUCE_ONLY")
    await rich.order(quantity="1", price="59990")
    await exchange.run_engine()
    outcome = await both(exchange, trader, side="SELL", quantity="0.15", price="59990", reduceOnly=True)
    assert (outcome["status"], outcome["cutQuantity"], outcome["filledQuantity"]) == ("FILLED", "0.05", "0.1")
    assert (outcome["realizedPnl"], outcome["fee"], outcome["position"]) == ("-1", "2.9995", None)


async def test_a_reduce_only_maker_counts_as_far_as_its_position_goes(exchange: Exchange) -> None:
    """Long 0.1, a plain SELL 0.08 before a take-profit of 0.1: together they fill 0.1 of a BUY, and a FOK of 0.18 nothing."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    await trader.order(side="SELL", quantity="0.08", price="60010")
    await trader.order(side="SELL", quantity="0.1", price="60020", reduceOnly=True)
    await exchange.run_engine()
    alice = await exchange.user()
    wish = {"quantity": "0.18", "price": "60020"}
    assert (await preview(alice, **wish, timeInForce="FOK")).body["outcome"]["reason"] == "FOK_UNFILLABLE"
    outcome = await both(exchange, alice, **wish, timeInForce="IOC")
    assert [fill["quantity"] for fill in outcome["fills"]] == ["0.08", "0.02"]


@pytest.mark.parametrize(
    ("mode", "status", "fills"),
    [(MAKER, "FILLED", ["0.1", "0.1"]), (TAKER, "CANCELLED", ["0.1"]), (BOTH, "CANCELLED", ["0.1"])],
)
async def test_self_trade_prevention_is_in_the_outcome(
    exchange: Exchange, mode: str, status: str, fills: list[str]
) -> None:
    """An own offer between two others: it is passed, or the order ends there with what it had."""
    bob, alice = await offers(exchange, ("0.1", "60000")), await exchange.user()
    await alice.order(side="SELL", price="60005")
    await bob.order(side="SELL", price="60010")
    await exchange.run_engine()
    outcome = await both(exchange, alice, quantity="0.2", price="60010", selfTradePreventionMode=mode)
    assert outcome["status"] == status
    assert [fill["quantity"] for fill in outcome["fills"]] == fills


async def test_the_liquidation_price_is_that_of_the_position_afterwards(exchange: Exchange) -> None:
    """Opening, adding, reducing and turning, beside a position in another market: as GET /positions shows it then."""
    ether = {"marketId": "ETH-PERP", "price": "3000", "quantity": "1"}
    rich, alice = await exchange.user("10000000"), await exchange.user("3000")
    await alice.order(**ether)
    await rich.order(**ether, side="SELL")
    for side in ("BUY", "SELL"):
        for step in (1, 2, 3):
            price = 60_000 + (step if side == "SELL" else -step) * 10
            await rich.order(side=side, quantity="0.1", price=str(price))
    await exchange.run_engine()
    seen = []
    for side, quantity in (("BUY", "0.15"), ("BUY", "0.05"), ("SELL", "0.05"), ("SELL", "0.2")):
        outcome = await both(exchange, alice, side=side, type="MARKET", price=None, quantity=quantity)
        assert outcome["status"] == "FILLED"
        seen.append((outcome["position"]["side"], outcome["position"]["quantity"], outcome["position"]["entryPrice"]))
    assert seen == [
        ("LONG", "0.15", "60013.333333"),
        ("LONG", "0.2", "60015"),
        ("LONG", "0.15", "60015"),
        ("SHORT", "0.05", "59970"),
    ]


async def test_an_order_that_the_band_moved_is_last_in_its_queue(exchange: Exchange) -> None:
    """Alice's take-profit is older than Carol's offer, but moved behind it: her BUY meets Carol's first."""
    alice, _ = await long_from(exchange, "10000", "0.1")
    await alice.order(side="SELL", price="61000", reduceOnly=True)
    await offers(exchange, ("0.1", "61035"))
    await move_index(exchange, 62_600)
    outcome = await both(exchange, alice, quantity="0.2", price="61035", selfTradePreventionMode=TAKER)
    assert (outcome["status"], outcome["filledQuantity"]) == ("CANCELLED", "0.1")


async def test_what_is_under_way_is_not_counted(exchange: Exchange) -> None:
    """An offer that the engine has not read is not in the book; `commandSequence` says as of which command that is."""
    await exchange.run_engine()
    bob, alice = await exchange.user("1000000"), await exchange.user()
    placed = await bob.order(side="SELL")
    before = (await preview(alice)).body
    assert before["commandSequence"] == await exchange.value("SELECT command_seq FROM progress WHERE market_id = 1")
    assert before["outcome"].items() >= OPEN.items()
    await exchange.run_engine()
    after = (await preview(alice)).body
    assert after["outcome"]["status"] == "FILLED"
    assert placed.body["orderId"] == f"BTC-PERP-{after['commandSequence']}"
    refused = (await preview(alice, quantity="100")).body
    assert (refused["commandSequence"], refused["outcome"]) == (after["commandSequence"], None)
    assert (await preview(alice, marketId="DOGE-PERP")).body["commandSequence"] is None


async def test_an_expired_order_is_not_in_the_book(exchange: Exchange) -> None:
    """An offer whose time has come, before the clock has said so."""
    await offers(exchange, ("0.1", "60000"), timeInForce="GTD", expiresAt="2099-01-01T00:00:00Z")
    alice = await exchange.user()
    assert (await preview(alice)).body["outcome"]["status"] == "FILLED"
    await exchange.execute("UPDATE orders SET expires_at = now() - interval '1 s' WHERE is_live")
    assert (await preview(alice)).body["outcome"]["status"] == "OPEN"


async def test_a_preview_says_where_it_stopped_reading(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two makers read at most, an order for three has no status; the figures are those of two."""
    monkeypatch.setattr(reachable_book, "MAKERS_MAX", 2)
    await offers(exchange, ("0.1", "60000"), ("0.1", "60010"), ("0.1", "60020"))
    alice = await exchange.user()
    for in_force in ("GTC", "IOC", "FOK"):
        outcome = (await preview(alice, quantity="0.3", price="60020", timeInForce=in_force)).body["outcome"]
        assert (outcome["isTruncated"], outcome["status"], outcome["reason"]) == (True, None, None)
        assert (outcome["filledQuantity"], outcome["averagePrice"]) == ("0.2", "60005")
    outcome = await both(exchange, alice, quantity="0.2", price="60020")
    assert (outcome["isTruncated"], outcome["status"]) == (False, "FILLED")


async def test_rules_that_this_code_does_not_know_have_no_outcome(exchange: Exchange) -> None:
    """A market that a newer release runs: its margin is known, its engine is not."""
    await exchange.run_engine()
    await exchange.execute("UPDATE markets SET rules = 1000")
    alice = await exchange.user()
    body = (await preview(alice)).body
    assert (body["isAccepted"], body["marginRequired"], body["outcome"]) == (True, "303", None)


async def test_what_rests_is_counted_in_the_position_if_filled(exchange: Exchange) -> None:
    """Of a bid of 0.2, 0.1 fills at once and 0.1 rests; when it has filled too, the position is the one that was named."""
    bob, alice = await offers(exchange, ("0.1", "60005")), await exchange.user("3000")
    outcome = await both(exchange, alice, quantity="0.2", price="60010")
    assert (outcome["status"], outcome["position"]["quantity"]) == ("PARTIALLY_FILLED", "0.1")
    assert (await bob.order(side="SELL", quantity="0.1", price="60010")).status == 202
    await exchange.run_engine()
    (held,) = (await alice.get("/positions")).body
    assert outcome["positionIfFilled"] == {name: held[name] for name in outcome["positionIfFilled"]}
    assert outcome["positionIfFilled"]["entryPrice"] == "60007.5"
    at_once = (await preview(alice, side="SELL", quantity="0.1", price="59000", timeInForce="IOC")).body["outcome"]
    assert at_once["positionIfFilled"] is None
