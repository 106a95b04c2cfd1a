"""Ledger, funding, receipts and the insurance fund, over HTTP, on what a real engine did."""

import json
from typing import Any
from urllib.parse import quote

from schemas.commands import AdvanceClock, Command, Counterparty, Deleverage, Liquidate, SetIndex, TakeOver
from schemas.orders import Side
from schemas.units import Lots, Micros, Nanos, Ticks, Timestamp, format_timestamp
from store.command_log.commands import append_command
from tests.api.exchange import Client, Exchange, now
from tests.conftest import STARTED_AT

BTC = "BTC-PERP"
USDC = 1_000_000
EIGHT_HOURS_US = 8 * 3_600_000_000


async def run_command(exchange: Exchange, command: Command) -> None:
    """Put a command into the log of BTC-PERP, match and persist it."""
    await exchange.services.database.run(lambda session: append_command(session, BTC, command))
    await exchange.run_engine()


async def traded(exchange: Exchange) -> tuple[Client, Client]:
    """Alice long and Bob short 1 BTC from 60,000; Alice is maker, Bob is taker."""
    alice, bob = await exchange.user(), await exchange.user()
    await alice.order(quantity="1")
    await bob.order(side="SELL", quantity="1")
    await exchange.run_engine()
    return alice, bob


async def fund(exchange: Exchange) -> Timestamp:
    """Let a funding interval end at a mark of 60,000.1; when it ended.

    The seed markets were listed on a day of their own: a first tick settles what has been missed since, if anything.
    """
    at = Timestamp(max(now(), STARTED_AT))
    await run_command(exchange, SetIndex(at, Nanos(60_000_100_000_000)))
    await run_command(exchange, AdvanceClock(at))
    end = Timestamp((at // EIGHT_HOURS_US + 1) * EIGHT_HOURS_US)
    await run_command(exchange, AdvanceClock(end))
    return end


async def take_over(exchange: Exchange, alice: Client, lots: int = 1_000) -> None:
    """The insurance fund takes Alice's 1 BTC, bought at 60,000, over at 57,000, with a receipt."""
    at = now()
    await exchange.execute(
        "INSERT INTO liquidations (liquidation_id, kind, user_id, started_at) OVERRIDING SYSTEM VALUE"
        " VALUES (7, 'LIQUIDATION', $1, '2027-01-15T12:00:00Z')",
        alice.user,
    )
    await exchange.execute(
        "INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at) VALUES"
        ' (7, 1, $1, \'TAKE_OVER\', 1, 4, \'{"equity": "-12", "ranking": [{"user": 9, "score": "1.5"}]}\','
        " '2027-01-15T12:00:01Z')",
        alice.user,
    )
    named = (alice.user, 7, 1, lots, Micros(60 * lots * USDC), Micros(57 * lots * USDC))
    await run_command(exchange, TakeOver(at, *named))


async def pages(client: Client, path: str, size: int) -> list[dict[str, Any]]:
    """Everything a list holds, in pages of `size`."""
    rows, cursor = [], ""
    while True:
        page = (await client.get(f"{path}?limit={size}{cursor}")).body
        rows += page["data"]
        if page["nextCursor"] is None:
            return rows
        cursor = f"&cursor={page['nextCursor']}"


async def test_the_ledger_shows_every_movement_of_the_wallet(exchange: Exchange) -> None:
    """Deposit 10,000, maker's fee 12 of the trade, withdrawal 100: each with the wallet after it and what it was for."""
    alice, bob = await traded(exchange)
    await alice.withdraw("100")
    rows = (await alice.get("/ledger")).body["data"]
    shown = [(row["type"], row["amount"], row["balanceAfter"], row["marketId"]) for row in rows]
    assert shown == [
        ("WITHDRAW", "-100", "9888", None),
        ("TRADING_FEE", "-12", "9988", BTC),
        ("DEPOSIT", "10000", "10000", None),
    ]
    trade = rows[1]
    assert (trade["referenceId"], trade["asset"], trade["cause"]) == ("BTC-PERP-1", "USDC", None)
    event = await exchange.value("SELECT event_seq FROM fills LIMIT 1")
    assert trade["eventId"] == f"BTC-PERP:{event}"
    assert rows[0]["referenceId"].startswith("transfer-")
    assert rows[0]["eventId"] is None
    assert [row["amount"] for row in (await bob.get("/ledger?limit=1")).body["data"]] == ["-30"]


async def test_the_ledger_is_paged_and_filtered(exchange: Exchange) -> None:
    """Pages of one, of one market, of a period; an empty period is an empty page."""
    alice, _ = await traded(exchange)
    await alice.deposit("5")
    whole = (await alice.get("/ledger")).body["data"]
    assert await pages(alice, "/ledger", 1) == whole
    assert (await alice.get(f"/ledger?marketId={BTC}")).body["data"] == [whole[1]]
    assert (await alice.get("/ledger?marketId=nobody")).body == {"data": [], "nextCursor": None}
    assert (await alice.get(f"/ledger?from={quote(whole[0]['time'])}")).body["data"] == whole[:1]
    assert (await alice.get(f"/ledger?to={quote(whole[-1]['time'])}")).body["data"] == []


async def test_lists_of_ours_are_always_pages(exchange: Exchange) -> None:
    """The bare array is the shape of the five oldest lists, not theirs; nothing unknown is asked of them."""
    alice = await exchange.user(None)
    for path in ("/ledger", "/funding-payments", "/liquidations"):
        assert (await alice.get(path)).body == {"data": [], "nextCursor": None}
        for query in ("limit=0", "cursor=x", "status=OPEN", "from=yesterday"):
            assert (await alice.get(f"{path}?{query}")).code == "INVALID_REQUEST", (path, query)
    for path in ("/insurance-fund", f"/markets/{BTC}/funding"):
        for query in ("limit=0", "cursor=x", "status=OPEN"):
            assert (await alice.get(f"{path}?{query}")).code == "INVALID_REQUEST", (path, query)


async def test_funding_is_shown_to_those_who_paid_and_were_paid(exchange: Exchange) -> None:
    """1 BTC at 60,000.1 and 0.01 %: 6.00001 from the long to the short."""
    alice, bob = await traded(exchange)
    end = await fund(exchange)
    (paid,) = (await alice.get("/funding-payments")).body["data"]
    assert paid == {
        "marketId": BTC,
        "side": "LONG",
        "quantity": "1",
        "markPrice": "60000.1",
        "rate": "0.0001",
        "amount": "-6.00001",
        "eventId": paid["eventId"],
        "time": format_timestamp(end),
    }
    assert [row["amount"] for row in (await bob.get("/funding-payments")).body["data"]] == ["6.00001"]
    (entry,) = (await alice.get("/ledger?limit=1")).body["data"]
    assert (entry["type"], entry["amount"], entry["referenceId"]) == ("FUNDING_PAYMENT", "-6.00001", paid["eventId"])
    assert (await alice.get("/funding-payments?marketId=ETH-PERP")).body["data"] == []


async def test_the_funding_of_a_market_is_public(exchange: Exchange) -> None:
    """The current rate, the next time, index and mark, and what was settled, the missed intervals as void."""
    await traded(exchange)
    end = await fund(exchange)
    answered = (await exchange.anonymous().get(f"/markets/{BTC}/funding?limit=1")).body
    assert (answered["marketId"], answered["fundingRate"], answered["indexPrice"], answered["markPrice"]) == (
        BTC,
        "0.0001",
        "60000.1",
        "60000.1",
    )
    assert answered["nextFundingTime"] == format_timestamp(end + EIGHT_HOURS_US)
    assert answered["predictedFundingRate"] == "0.0001"
    (last,) = answered["data"]
    event = last.pop("eventId")
    assert event.startswith("BTC-PERP:")
    assert last == {
        "time": format_timestamp(end),
        "rate": "0.0001",
        "meanPremium": "0",
        "markPrice": "60000.1",
        "indexPrice": "60000.1",
        "isVoid": False,
    }
    whole = await pages(exchange.anonymous(), f"/markets/{BTC}/funding", 500)
    assert [row["isVoid"] for row in whole[1:]] == [True] * (len(whole) - 1)
    missing = await exchange.anonymous().get("/markets/DOGE-PERP/funding")
    assert (missing.status, missing.code) == (404, "MARKET_NOT_FOUND")
    market = (await exchange.anonymous().get(f"/markets/{BTC}")).body
    assert {name: market[name] for name in ("fundingRate", "predictedFundingRate", "nextFundingTime")} == {
        name: answered[name] for name in ("fundingRate", "predictedFundingRate", "nextFundingTime")
    }


async def test_a_receipt_shows_what_was_decided_and_what_came_of_it(exchange: Exchange) -> None:
    """Only to whom it was done; who else took part is not named."""
    alice, bob = await traded(exchange)
    await take_over(exchange, alice)
    (receipt,) = (await alice.get("/liquidations")).body["data"]
    assert receipt == {
        "liquidationId": "7",
        "step": 1,
        "kind": "LIQUIDATION",
        "action": "TAKE_OVER",
        "role": "LIQUIDATED",
        "marketId": BTC,
        "orderId": None,
        "inputs": {"equity": "-12", "ranking": [{"rank": 1, "score": "1.5"}]},
        "outcome": {
            "quantity": "1",
            "isStale": False,
            "transfers": [
                {
                    "tradeId": "BTC-PERP-2",
                    "quantity": "1",
                    "amount": "57000",
                    "price": "57000",
                    "realizedPnl": "-3000",
                }
            ],
        },
        "eventId": receipt["eventId"],
        "time": "2027-01-15T12:00:01.000000Z",
        "doneAt": receipt["doneAt"],
        "startedAt": "2027-01-15T12:00:00.000000Z",
        "endedAt": None,
    }
    assert receipt["doneAt"] is not None
    assert (await bob.get("/liquidations")).body["data"] == []
    assert (await alice.get("/liquidations?marketId=ETH-PERP")).body["data"] == []


async def test_a_fill_without_an_order_says_so(exchange: Exchange) -> None:
    """A take-over: the caller's fill has no order, its cause, and the amount it was settled at."""
    alice, _ = await traded(exchange)
    await take_over(exchange, alice)
    fill = (await alice.get("/fills")).body[0]
    answered = {name: fill[name] for name in ("orderId", "cause", "side", "notional", "fee", "realizedPnl")}
    assert answered == {
        "orderId": None,
        "cause": "TAKE_OVER",
        "side": "SELL",
        "notional": "57000",
        "fee": "0",
        "realizedPnl": "-3000",
    }


async def test_the_insurance_fund_is_public(exchange: Exchange) -> None:
    """Seeded with 1,000,000; long 1 BTC for 57,000 at mark 60,000 it has 3,000 of profit that it has not realized."""
    nobody = exchange.anonymous()
    fund_before = (await nobody.get("/insurance-fund")).body
    assert (fund_before["wallet"], fund_before["equity"], fund_before["positions"]) == ("1000000", "1000000", [])
    (seed,) = fund_before["data"]
    assert (seed["type"], seed["amount"], seed["balanceAfter"]) == ("INSURANCE_FUND_TRANSFER", "1000000", None)
    alice, _ = await traded(exchange)
    await take_over(exchange, alice)
    answered = (await nobody.get("/insurance-fund")).body
    assert (answered["wallet"], answered["unrealizedPnl"], answered["equity"]) == ("1000000", "3000", "1003000")
    assert answered["positions"] == [
        {
            "marketId": BTC,
            "side": "LONG",
            "quantity": "1",
            "entryPrice": "57000",
            "markPrice": "60000",
            "unrealizedPnl": "3000",
        }
    ]


async def test_a_liquidation_fee_names_its_order(exchange: Exchange) -> None:
    """1 BTC sold at 59,990 into a bid: a receipt with its order, and a fee of 149.975 that the fund got."""
    alice, _ = await traded(exchange)
    maker = await exchange.user()
    await maker.order(quantity="1", price="59990")
    await exchange.run_engine()
    await exchange.execute(
        "INSERT INTO liquidations (liquidation_id, kind, user_id, started_at) OVERRIDING SYSTEM VALUE"
        " VALUES (7, 'LIQUIDATION', $1, '2027-01-15T12:00:00Z')",
        alice.user,
    )
    seq = await exchange.value("SELECT command_seq + 1 FROM counters WHERE market_id = 1")
    await exchange.execute(
        "INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at)"
        " VALUES (7, 1, $1, 'LIQUIDATION', 1, $2, '{}', '2027-01-15T12:00:01Z')",
        alice.user,
        seq,
    )
    await exchange.execute(
        "INSERT INTO orders (order_id, user_id, market_id, side, type, time_in_force, self_trade_prevention, post_only,"
        " reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at)"
        " VALUES ((1::int8 << 40) + $2::int8, $1, 1, 'SELL', 'LIMIT', 'IOC', 'EXPIRE_MAKER', false, true, 1000, 1000, 599900,"
        " 599900, 0, 0, '2027-01-15T12:00:01Z', '2027-01-15T12:00:01Z')",
        alice.user,
        seq,
    )
    await exchange.execute(
        "UPDATE positions SET sell_lots = 1000, sell_notional = 59990000000, live_orders = 1 WHERE user_id = $1 AND market_id = 1",
        alice.user,
    )
    step = (alice.user, 7, 1, Side.SELL, Lots(1_000), Ticks(599_900), Micros(9_988 * USDC), 20)
    await run_command(exchange, Liquidate(now(), *step))
    fee = (await alice.get("/ledger?limit=1")).body["data"][0]
    realized = (await alice.get("/ledger?limit=2")).body["data"][1]
    assert (fee["type"], fee["amount"], fee["referenceId"]) == ("LIQUIDATION_FEE", "-149.975", f"BTC-PERP-{seq}")
    assert (realized["type"], realized["cause"], realized["amount"]) == ("REALIZED_PNL", "LIQUIDATION", "-10")
    (receipt,) = (await alice.get("/liquidations")).body["data"]
    assert receipt["orderId"] == f"BTC-PERP-{seq}"
    assert receipt["outcome"] == {"quantity": "1", "notional": "59990", "fee": "149.975", "markPrice": "60000"}
    (entry,) = (await exchange.anonymous().get("/insurance-fund?limit=1")).body["data"]
    assert (entry["type"], entry["amount"]) == ("LIQUIDATION_FEE", "149.975")
    newest, first = (await alice.get("/orders")).body
    assert (newest["orderId"], newest["liquidationFee"]) == (f"BTC-PERP-{seq}", "149.975")
    assert first["liquidationFee"] is None
    assert (await alice.get(f"/orders/BTC-PERP-{seq}")).body["liquidationFee"] == "149.975"


async def test_a_deleveraged_account_sees_its_receipt_and_nobody_sees_more_of_the_others(exchange: Exchange) -> None:
    """Alice's long of 1 from 60,000 is closed against Bob at 57,000; of the ranking both see rank, score and lots taken."""
    alice, bob = await traded(exchange)
    carol = await exchange.user()
    await exchange.execute(
        "INSERT INTO liquidations (liquidation_id, kind, user_id, started_at) OVERRIDING SYSTEM VALUE"
        " VALUES (7, 'LIQUIDATION', $1, '2027-01-15T12:00:00Z')",
        alice.user,
    )
    ranking = [
        {"user": bob.user, "quantity": "-1", "equity": "4321", "cost": "-60000", "score": "1.5", "closes": "1"},
        {"user": carol.user, "quantity": "-9", "equity": "8765", "cost": "-9", "score": "1.2", "closes": "0"},
    ]
    inputs = {
        "wallet": "2468",
        "equity": "-532",
        "positions": [{"marketId": BTC, "quantity": "1", "markPrice": "56500"}],
        "closure": {"quantity": "1", "amount": "57000", "equityShare": "-532"},
        "ranking": ranking,
    }
    await exchange.execute(
        "INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at)"
        " VALUES (7, 1, $1, 'ADL', 1, 4, $2, '2027-01-15T12:00:01Z')",
        alice.user,
        json.dumps(inputs),
    )
    named = (alice.user, 7, 1, Lots(1_000), Micros(60_000 * USDC), Micros(57_000 * USDC))
    await run_command(exchange, Deleverage(now(), *named, (Counterparty(bob.user, Lots(1_000)),)))
    (own,), (bobs,) = [(await client.get("/liquidations")).body["data"] for client in (alice, bob)]
    shown = [{"rank": 1, "score": "1.5", "closes": "1"}, {"rank": 2, "score": "1.2", "closes": "0"}]
    assert own["inputs"] == inputs | {"ranking": shown}
    assert (own["role"], bobs["role"], bobs["action"]) == ("LIQUIDATED", "COUNTERPARTY", "ADL")
    assert bobs["inputs"] == {
        "markPrice": "56500",
        "bankruptcyPrice": "57000",
        "ranking": [shown[0] | {"isYou": True}, shown[1] | {"isYou": False}],
    }
    assert bobs["outcome"] == {
        "quantity": "1",
        "isStale": False,
        "transfers": [{"tradeId": "BTC-PERP-2", "quantity": "1", "amount": "57000", "price": "57000"}],
    }
    assert not any(secret in json.dumps(bobs) for secret in ("2468", "-532", "4321", "8765", "12:00:00.0"))
    assert (await carol.get("/liquidations")).body["data"] == []  # ranked, but not deleveraged
    assert (await bob.get("/liquidations?limit=1")).body["nextCursor"] is None


async def test_leverage_is_the_one_in_force_and_since_when(exchange: Exchange) -> None:
    """An order with 10, then the account's leverage set to 5: position and order both show 5, and the same moment."""
    alice, _ = await traded(exchange)
    placed = (await alice.order(quantity="0.1", price="59000", leverage=10)).body["orderId"]
    before = (await alice.get(f"/orders/{placed}")).body
    assert (before["leverage"], before["submittedLeverage"]) == (10, 10)
    assert (await alice.call("POST", f"/positions/{BTC}/leverage", {"leverage": 15})).status == 200
    order, (position,) = (await alice.get(f"/orders/{placed}")).body, (await alice.get("/positions")).body
    assert (order["leverage"], order["submittedLeverage"], position["leverage"]) == (15, 10, 15)
    assert order["leverageSince"] == position["leverageSince"] > before["leverageSince"]
    await alice.order(quantity="0.1", price="59000")
    assert (await alice.get("/positions")).body[0]["leverageSince"] == order["leverageSince"]
