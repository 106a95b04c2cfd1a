"""Replay of a market's public fills over REST: the stream's own records, from any sequence."""

import msgspec
import pytest

from schemas.fills import PublicFill, encode_fill
from store.queries.market_data.public_fills import read_public_fills
from tests.api.exchange import Client, Exchange
from tests.api.test_history import pages, take_over, traded

BTC = "BTC-PERP"
REPLAY = f"/markets/{BTC}/fills"


async def three_trades_and_a_take_over(exchange: Exchange) -> Client:
    """Four fills of BTC-PERP, the last one without orders; a client without a token."""
    alice, _ = await traded(exchange)
    buyer, seller = await exchange.user(), await exchange.user()
    for _ in range(2):
        await seller.order(side="SELL", quantity="0.01")
        await buyer.order(quantity="0.01")
        await exchange.run_engine()
    await take_over(exchange, alice)
    return exchange.anonymous()


async def test_anybody_replays_a_market_oldest_first(exchange: Exchange) -> None:
    """Without a token: each entry is the record of the stream, field by field, the take-over's too."""
    nobody = await three_trades_and_a_take_over(exchange)
    reply = await nobody.get(REPLAY)
    stored = await exchange.services.database.run(lambda session: read_public_fills(session, BTC, 1, 100))
    assert (reply.status, reply.body["nextCursor"]) == (200, None)
    assert [encode_fill(msgspec.convert(row, PublicFill)) for row in reply.body["data"]] == list(
        map(encode_fill, stored)
    )
    assert [row["sequence"] for row in reply.body["data"]] == [1, 2, 3, 4]
    assert [row["makerOrderId"] for row in reply.body["data"]][-1] is None


async def test_a_replay_starts_anywhere_and_continues_by_pages(exchange: Exchange) -> None:
    """From a sequence, and page after page from its cursor; beyond the newest there is nothing yet."""
    nobody = await three_trades_and_a_take_over(exchange)
    whole = await pages(nobody, REPLAY, 500)
    assert await pages(nobody, REPLAY, 1) == whole
    first = (await nobody.get(f"{REPLAY}?fromSequence=2&limit=2")).body
    assert first["data"] == whole[1:3]
    assert (await nobody.get(f"{REPLAY}?fromSequence=1&cursor={first['nextCursor']}")).body["data"] == whole[3:]
    assert (await nobody.get(f"{REPLAY}?fromSequence=5")).body == {"data": [], "nextCursor": None}
    assert (await nobody.get(f"{REPLAY}?fromSequence=999999999999999999")).body["data"] == []
    assert (await nobody.get("/markets/ETH-PERP/fills")).body == {"data": [], "nextCursor": None}


@pytest.mark.parametrize(
    "query",
    [
        *(
            "fromSequence=0",
            "fromSequence=-1",
            "fromSequence=1.0",
            "fromSequence=",
            "fromSequence=1e3",
            "fromSequence=%201",
        ),
        *("fromSequence=1000000000000000000", "fromSequence=%D9%A1", "fromSequence=1&fromSequence=2", "limit=0"),
        *(
            "cursor=x",
            "cursor=OTIyMzM3MjAzNjg1NDc3NTgwNw",
            "cursor=LTE",
            "from=2027-01-01T00:00:00Z",
            "marketId=BTC-PERP",
        ),
    ],
)
async def test_what_is_no_sequence_is_refused(exchange: Exchange, query: str) -> None:
    """INVALID_REQUEST, before the database is asked for values it cannot hold."""
    assert (await exchange.anonymous().get(f"{REPLAY}?{query}")).code == "INVALID_REQUEST"


async def test_a_market_that_is_not_listed_has_no_replay(exchange: Exchange) -> None:
    """404, and no page that looks as if it had not traded yet."""
    for name in ("NOPE-PERP", "btc-perp", "%00"):
        assert (await exchange.anonymous().get(f"/markets/{name}/fills")).code == "MARKET_NOT_FOUND"
