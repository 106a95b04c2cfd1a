"""The public channels: what a subscriber is sent equals what REST shows, each once and without a gap, whatever fails."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from api.errors import Refusal
from api.live import market_follower, outgoing
from api.live.feeds import replay, replayed
from app.local.kafka import LocalKafka
from schemas.commands import AdvanceClock, Command, SetStatus, TakeOver
from schemas.fills import PublicFill
from schemas.live.market_messages import (
    BestPrices,
    BookSnapshot,
    BookUpdate,
    Candle,
    Funding,
    Liquidation,
    Mark,
    Status,
    Subscribed,
    Ticker,
    Trade,
)
from schemas.live.subscriptions import MarketChannel, MarketParameters
from schemas.market import MarketStatus
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import ErrorCode
from schemas.rest.market_data import CandleInterval, OrderBookView
from schemas.rest.orders import OrderRequest
from schemas.units import Micros, Timestamp, format_timestamp
from schemas.wire import EventRecord
from store.command_log.commands import append_command
from store.queries.market_data.candles import list_candles
from store.queries.market_data.markets import read_market
from store.queries.market_data.order_book import read_order_book
from store.queries.market_data.public_fills import read_public_fills
from store.queries.market_data.ticker import read_ticker
from store.queries.paging import ListRequest
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.agents.test_projector import append, matched
from tests.api.live.channels_scene import Door, HeldBook, Line, Scene, channels_of, quiet, trade_sequences
from tests.api.live.test_market_follower import Later, persist
from tests.conftest import Broker
from tests.eventually import eventually

LOG_CHANNELS = ("trades", "book", "bbo", "mark", "status", "funding", "liquidations")


async def rest_book(stream: Stream, depth: int = 50) -> OrderBookView:
    """The book that REST shows now."""
    book = await read_order_book(stream.session, stream.market, depth)
    assert book is not None
    return book


async def stored_fills(stream: Stream, first: int = 1) -> list[PublicFill]:
    """Every fill in the tables from a sequence on."""
    return await read_public_fills(stream.session, stream.market, first, 100_000)


def encoded(channel: str) -> float:
    """How many messages of a channel this process has encoded."""
    return REGISTRY.get_sample_value("perpetua_live_encoded_total", {"channel": channel}) or 0.0


async def test_book_and_trades_equal_rest_while_the_market_trades_and_engines_die(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Subscribed before, in the middle and at the end of load; every book of REST is one that the subscribers held."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        lines = [(await scene.subscribe(channel, depth=depth))[0] for channel, depth in (("book", 5), ("book", None))]
        trades, _ = await scene.subscribe("trades")
        later: list[tuple[Line, Line, int]] = []
        seen: list[tuple[OrderBookView, OrderBookView]] = []
        async with hosted(Relay([stream.market], stream.settings), projection_unit(stream.market, stream.settings)):
            engine = stream.spawn("engine")
            for turn in range(8):
                await stream.trade(40)
                if turn in {3, 6}:
                    await stream.drained()
                    await stream.amend_live(20)
                await eventually(lambda: trades.of(Trade))
                if turn == 4:
                    engine.kill()
                    engine = stream.spawn("engine")
                book_line, _ = await scene.subscribe("book", depth=10)
                trade_line, _ = await scene.subscribe("trades")
                later.append((book_line, trade_line, trade_line.of(Subscribed)[0].sequence or 0))
                seen.append((await rest_book(stream), await rest_book(stream, 5)))
            await stream.drained()
        final, fills = await rest_book(stream), await stored_fills(stream)
        await quiet(trades, fills[-1].sequence, Trade)
        await eventually(lambda: HeldBook(lines[1]).equals(final))
        assert [trade.data for trade in trades.of(Trade)] == fills
        held = [HeldBook(line) for line in lines]
        assert all(held[1].equals(whole) and held[0].equals(part) for whole, part in seen)
        assert all(book.checksums for book in held)
        assert not any(book.resyncs for book in held)
        for book_line, trade_line, began in later:
            assert HeldBook(book_line).as_of(final.sequence) == _best(final, 10)
            assert trade_sequences(trade_line) == list(range(began + 1, fills[-1].sequence + 1))


def _best(book: OrderBookView, depth: int) -> tuple[dict[str, str], dict[str, str]]:
    bids, asks = ({level.price: level.quantity for level in side[:depth]} for side in (book.bids, book.asks))
    return bids, asks


async def test_zombies_and_a_rebuild_change_nothing_for_subscribers(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Old records again, and the next epoch: each trade once, no snapshot sent again."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(60)
        records = await matched(stream)
        book, _ = await scene.subscribe("book")
        trades, _ = await scene.subscribe("trades")
        await append(stream, records[:30])
        await append(stream, records[10:20])
        await stream.session.execute("UPDATE markets SET epoch = 2 WHERE name = $1", stream.market)
        await append(stream, [msgspec.structs.replace(each, epoch=2) for each in records[25:]])
        await append(stream, records[:5])
        await persist(stream, records)
        fills = await stored_fills(stream)
        await quiet(trades, fills[-1].sequence, Trade)
        final = await rest_book(stream)
        await eventually(lambda: HeldBook(book).equals(final))
        assert [trade.data for trade in trades.of(Trade)] == fills
        assert len(book.of(BookSnapshot)) == 1


async def test_nothing_is_sent_in_the_middle_of_a_command(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event has a record of its own: neither an update, nor a snapshot, nor one for who fell behind shows what still trades."""
    monkeypatch.setattr("broker.event_records.EVENT_RECORD_BYTES_MAX", 1)
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(25)
        records = await matched(stream)
        follower = await scene.channels.followers.acquire(stream.market)
        book, _ = await scene.subscribe("book")
        ends = {each.last_event_seq for each in records if each.last_command_seq >= each.first_command_seq}
        assert len(ends) < len(records)
        fresh: list[Line] = []
        for number, record in enumerate(records):
            await append(stream, [record])
            await eventually(lambda last=record.last_event_seq: follower.position.event_seq == last, every_s=0.002)  # type: ignore[misc]
            if book.of(BookUpdate):
                late = Line([book.resync()])
                held, again = HeldBook(book), HeldBook(late)
                assert (again.bids, again.asks) == (held.bids, held.asks)
            if number % 5 == 0:
                await persist(stream, records[: number + 1])
                fresh.append((await scene.subscribe("book", depth=[5, 10, 25, 100][number // 5 % 4]))[0])
        assert {message.sequence for line in (book, *fresh) for message in line.of(BookUpdate)} <= ends
        await persist(stream, records)
        final = await rest_book(stream, 500)
        assert HeldBook(book).equals(final)
        for line in fresh:
            await eventually(lambda line=line: _is_of(line, final))  # type: ignore[misc]
        scene.channels.followers.release(follower)


async def test_who_comes_in_the_middle_of_a_command_gets_the_book_after_it(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables hold an order that still trades: no snapshot shows it as if it rested."""
    monkeypatch.setattr("broker.event_records.EVENT_RECORD_BYTES_MAX", 1)
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(30)
        request = OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, "0.1", "59000", TimeInForce.IOC)
        await stream.submit([SubmitOrder(stream.users[0], request)])
        records = await matched(stream)
        ends = {each.last_event_seq for each in records if each.last_command_seq >= each.first_command_seq}
        accepted = [
            number
            for number, each in enumerate(records[:-1])
            if each.last_event_seq not in ends and b"order.accepted" in bytes(each.events[0])
        ]
        written = 0
        for number in (accepted[3], accepted[-1]):  # one that trades, and the last, which ends
            await append(stream, records[written : number + 1])
            await persist(stream, records[: number + 1])
            async with channels_of(stream) as scene:
                line, _ = await scene.subscribe("book")
                assert not line.of(BookSnapshot)
                await append(stream, records[number + 1 : (written := number + 8)])
                await eventually(lambda: line.of(BookSnapshot))  # noqa: B023 - waits here
                await persist(stream, records[:written])
                final = await rest_book(stream)
                await eventually(lambda: HeldBook(line).equals(final) or final.sequence not in ends)  # noqa: B023 - as above
                assert {each.sequence for each in (*line.of(BookSnapshot), *line.of(BookUpdate))} <= ends


def _is_of(line: Line, book: OrderBookView) -> bool:
    """Whether the client holds the best levels of a book, as many as it keeps."""
    depth = line.of(Subscribed)[0].depth or 0
    return HeldBook(line).as_of(book.sequence) == _best(book, depth)


async def test_what_the_log_has_lost_comes_out_of_the_tables(broker: Broker, database: str, tmp_path: Path) -> None:
    """A rebuild while this process lagged: the book is sent again as a whole, and no trade is left out."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(60)
        records = await matched(stream)
        book, _ = await scene.subscribe("book")
        best, _ = await scene.subscribe("bbo")
        trades, _ = await scene.subscribe("trades")
        await append(stream, records[:20])
        await eventually(lambda: book.of(BookUpdate))
        await persist(stream, records[:45])
        await append(stream, records[45:])
        await persist(stream, records)
        fills = await stored_fills(stream)
        await quiet(trades, fills[-1].sequence, Trade)
        final = await rest_book(stream)
        await eventually(lambda: HeldBook(book).equals(final))
        assert [trade.data for trade in trades.of(Trade)] == fills
        assert HeldBook(book).resyncs == 1
        await eventually(lambda: best.of(BestPrices)[-1].bid == (final.bids[0].price, final.bids[0].quantity))


async def test_an_outage_of_the_broker_leaves_no_gap(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subscribers stay, and get what is written after it; new subscriptions are refused as REST would, until it is back."""
    monkeypatch.setattr(market_follower, "HEARD_WITHIN_S", 0.0)  # the broker is asked each time
    kafka = LocalKafka(tmp_path / "kafka")
    own = Broker(await kafka.start())
    try:
        async with stream_on(own, database, tmp_path) as stream, channels_of(stream) as scene:
            await stream.trade(40)
            records = await matched(stream)
            trades, _ = await scene.subscribe("trades")
            book, _ = await scene.subscribe("book")
            await append(stream, records[:20])
            await eventually(lambda: book.of(BookUpdate))
            await kafka.stop()
            codes = await asyncio.gather(*(refusal(scene, channel) for channel in LOG_CHANNELS))
            assert set(codes) == {ErrorCode.UNAVAILABLE}
            await scene.subscribe("ticker")
            await kafka.start()
            await append(stream, records[20:])
            await persist(stream, records)
            fills = await stored_fills(stream)
            await quiet(trades, fills[-1].sequence, Trade)
            assert [trade.data for trade in trades.of(Trade)] == fills
            final = await rest_book(stream)
            await eventually(lambda: HeldBook(book).equals(final))
            assert not HeldBook(book).resyncs
            await scene.subscribe("book")
    finally:
        await kafka.stop()


async def test_an_outage_of_the_database_stops_no_subscriber(broker: Broker, database: str, tmp_path: Path) -> None:
    """What the log says goes on meanwhile; the ticker and new subscriptions wait for the tables."""
    async with stream_on(broker, database, tmp_path) as stream:
        door = Door(stream.settings.dsn, tmp_path)
        await door.open()
        await stream.trade(40)
        records = await matched(stream)
        async with channels_of(stream, dsn=door.dsn) as scene:
            trades, _ = await scene.subscribe("trades")
            ticker, _ = await scene.subscribe("ticker")
            await door.shut()
            await append(stream, records)
            await persist(stream, records)
            fills = await stored_fills(stream)
            await quiet(trades, fills[-1].sequence, Trade)
            codes = await asyncio.gather(*(refusal(scene, channel) for channel in ("book", "funding", "candles")))
            assert set(codes) == {ErrorCode.UNAVAILABLE}
            await scene.subscribe("trades")  # needs nothing that it does not have
            assert len(ticker.of(Ticker)) == 1
            await door.open()
            await eventually(lambda: ticker.of(Ticker)[-1].data.trades_24h == len(fills))
            book, _ = await scene.subscribe("book")
            await eventually(lambda: HeldBook(book).at)
            assert HeldBook(book).equals(await rest_book(stream))
        await door.shut()


async def test_two_hundred_subscribers_share_one_reader_and_one_encoding(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Each gets a reference to the same bytes."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(40)
        records = await matched(stream)
        lines = [Line() for _ in range(200)]
        await asyncio.gather(*(scene.subscribe("book", line) for line in lines))
        await asyncio.gather(*(scene.subscribe("trades", line) for line in lines))
        before = encoded("book"), encoded("trades")
        assert all(
            isinstance(line.messages[1], BookSnapshot) and line.frames[1] is lines[0].frames[1] for line in lines
        )
        await append(stream, records)
        await persist(stream, records)
        fills = await stored_fills(stream)
        await asyncio.gather(*(quiet(line, fills[-1].sequence, Trade) for line in lines))
        assert encoded("trades") - before[1] == len(fills)
        assert encoded("book") - before[0] == len(lines[0].of(BookUpdate))
        for at, frame in enumerate(lines[0].frames[3:], 3):
            assert all(line.frames[at] is frame for line in lines)


async def test_a_slow_client_gets_the_newest_and_every_trade(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates of the book that wait for long give way to one snapshot; best prices wait once; trades all wait."""
    monkeypatch.setattr(outgoing, "BOOK_BYTES_MAX", 2_000)
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(80)
        records = await matched(stream)
        slow = outgoing.Outgoing(*(lambda: None,) * 3, bytes_max=2**22)
        quick = Line()
        for channel in ("book", "bbo", "trades"):
            await scene.subscribe(channel, quick)
            asked = MarketParameters(stream.market)
            await scene.channels.subscribe(MarketChannel(channel), asked, slow)
        read = Line(slow.take(2**20))
        for part in (records[:40], records[40:]):
            await append(stream, part)
            await persist(stream, records[: records.index(part[-1]) + 1])
            fills = await stored_fills(stream)
            await quiet(quick, fills[-1].sequence, Trade)
            read.frames += slow.take(2**20)
        final, held = await rest_book(stream), HeldBook(read)
        assert held.equals(final)
        assert HeldBook(quick).equals(final)
        assert held.resyncs == 2
        assert len(read.of(BookUpdate)) < len(quick.of(BookUpdate))
        assert [trade.data for trade in read.of(Trade)] == fills
        assert len(read.of(BestPrices)) < 5
        assert read.of(BestPrices)[-1] == quick.of(BestPrices)[-1]


async def test_the_last_subscriber_ends_it_a_minute_later(broker: Broker, database: str, tmp_path: Path) -> None:
    """What waits of a cancelled subscription is forgotten, nothing more comes, and then nothing is read."""
    later = Later()
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream, later=later) as scene:
        await stream.trade(20)
        records = await matched(stream)
        line = Line()
        subscriptions = [(await scene.subscribe(channel, line))[1] for channel in LOG_CHANNELS]
        await append(stream, records[:10])
        await eventually(lambda: line.of(BookUpdate))
        for subscription in subscriptions:
            subscription.cancel()
        assert sorted(line.forgotten) == sorted(subscription.key for subscription in subscriptions)
        count = len(line.frames)
        other, _ = await scene.subscribe("trades")
        await append(stream, records[10:])
        await eventually(lambda: other.of(Trade))
        assert len(line.frames) == count
        assert later.calls[-1].is_cancelled


@pytest.mark.parametrize("first", [1, 5])
async def test_trades_are_replayed_from_any_sequence(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Out of the tables in pages, which lag behind the log, then out of the log: each once, while more come."""
    monkeypatch.setattr(replayed, "PAGE", 4)
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(80)
        records = await matched(stream)
        await append(stream, records[:60])
        await persist(stream, records[:40])
        live, _ = await scene.subscribe("trades")
        lines = [(await scene.subscribe("trades", **{"from": first}))[0] for _ in range(3)]
        await append(stream, records[60:])
        await persist(stream, records)
        fills = await stored_fills(stream, first)
        for line in lines:
            await quiet(line, fills[-1].sequence, Trade)
            assert [trade.data for trade in line.of(Trade)] == fills
            assert line.resumes["trades", stream.market].from_ == fills[-1].sequence + 1
        await quiet(live, fills[-1].sequence, Trade)
        began = live.of(Subscribed)[0].sequence
        assert trade_sequences(live) == [fill.sequence for fill in fills if fill.sequence > (began or 0)]
        ahead, _ = await scene.subscribe("trades", **{"from": fills[-1].sequence + 1})
        assert not ahead.of(Trade)


async def test_a_replay_waits_for_a_slow_client(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further page is read while much of the last ones waits; a client that has gone ends it."""
    monkeypatch.setattr(replayed, "PAGE", 4)
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        await stream.trade(80)
        records = await matched(stream)
        await append(stream, records)
        await persist(stream, records)
        slow = Line(bytes_waiting=replay.WAITING_BYTES_MAX + 1)
        _, subscription = await scene.subscribe("trades", slow, **{"from": 1})
        await asyncio.sleep(0.2)
        assert trade_sequences(slow) == [1, 2, 3, 4]
        slow.bytes_waiting = 0
        await quiet(slow, len(await stored_fills(stream)), Trade)
        subscription.cancel()
        gone = Line(bytes_waiting=replay.WAITING_BYTES_MAX + 1)
        await scene.subscribe("trades", gone, **{"from": 1})
        gone.is_closed = True


async def commands_at(stream: Stream, *commands: Command) -> None:
    """Commands of operators and clocks."""
    for command in commands:
        await append_command(stream.session, stream.market, command)


async def test_mark_status_ticker_and_candles_equal_rest(broker: Broker, database: str, tmp_path: Path) -> None:
    """The present value first, then every change; in the end each shows what REST shows."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        workers = (Relay, engine_unit, projection_unit)
        async with hosted(*(part(stream.market, stream.settings) for part in workers)):
            await stream.drained()
            line = Line()
            for channel in ("mark", "status", "ticker"):
                await scene.subscribe(channel, line)
            await scene.subscribe("candles", line, interval="1m")
            assert not line.of(Candle)
            assert line.of(Status)[-1].status is MarketStatus.ACTIVE
            await stream.trade(60)
            minute = BEGAN_AT + 60_000_000
            await commands_at(stream, AdvanceClock(Timestamp(minute)), AdvanceClock(Timestamp(minute + 30_000_000)))
            await stream.drained()
            await eventually(lambda: line.of(Candle))
            await commands_at(stream, SetStatus(Timestamp(minute + 60_000_000), MarketStatus.CANCEL_ONLY))
            await stream.drained()
            await eventually(lambda: line.of(Status)[-1].status is MarketStatus.CANCEL_ONLY)
            market, ticker = (
                await read_market(stream.session, stream.market),
                await read_ticker(stream.session, stream.market),
            )
            candles = await list_candles(
                stream.session, stream.market, CandleInterval.MINUTE, ListRequest(is_oldest_first=True)
            )
            assert market is not None
            assert ticker is not None
            await eventually(lambda: line.of(Mark)[-1].data.mark_price == market.mark_price)
            mark = line.of(Mark)[-1].data
            for name in ("index_price", "funding_rate", "predicted_funding_rate", "next_funding_time"):
                assert getattr(mark, name) == getattr(market, name)
            await eventually(lambda: line.of(Ticker)[-1].data.status == "CANCEL_ONLY")
            assert _facts(line.of(Ticker)[-1].data) == _facts(ticker)
            await eventually(lambda: line.of(Candle)[-1].data == candles.data[-1])  # type: ignore[union-attr]
            closed = [candle.data for candle in line.of(Candle) if candle.closed]
            assert closed == candles.data[:-1]  # type: ignore[union-attr]


def _facts(ticker: Any) -> Any:
    return msgspec.structs.replace(ticker, sequence=0, time="")


async def test_a_candle_closes_once_and_after_trades_whose_clock_is_behind(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A trade of the last second of a minute may be matched after the first tick of the next: it is in the closed candle."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        line, _ = await scene.subscribe("candles", interval="1m")
        minute = Timestamp((BEGAN_AT // 60_000_000 + 1) * 60_000_000)
        await trade_at(stream, minute - 2_000_000)
        await commands_at(stream, AdvanceClock(Timestamp(minute + 500_000)))
        await persist(stream, await matched(stream))
        await eventually(lambda: len(line.of(Candle)) == 2)
        await trade_at(stream, minute - 1_000)
        await persist(stream, await matched(stream))
        await eventually(lambda: line.of(Candle)[-1].data.trades == 2)
        assert not any(candle.closed for candle in line.of(Candle))
        await commands_at(stream, AdvanceClock(Timestamp(minute + 2_000_000)))
        await persist(stream, await matched(stream))
        await eventually(lambda: line.of(Candle)[-1].closed)
        await commands_at(stream, AdvanceClock(Timestamp(minute + 3_000_000)))
        await trade_at(stream, minute + 4_000_000)
        await persist(stream, await matched(stream))
        await eventually(lambda: line.of(Candle)[-1].data.trades == 1)
        assert [(candle.data.time[14:19], candle.data.trades) for candle in line.of(Candle) if candle.closed] == [
            (minute_text(minute - 1), 2)
        ]


def minute_text(at: int) -> str:
    """Minutes and seconds of the minute that a time is in."""
    return format_timestamp(at // 60_000_000 * 60_000_000)[14:19]


async def trade_at(stream: Stream, at: int) -> None:
    """Two orders that meet, accepted at this time."""
    for user, side in zip(stream.users, (Side.BUY, Side.SELL), strict=False):
        request = OrderRequest(stream.market, side, OrderType.LIMIT, "0.1", "60000")
        await stream.submission.run([SubmitOrder(user, request)], Timestamp(at), {})


async def test_a_quarantined_market_is_halted_for_subscribers(broker: Broker, database: str, tmp_path: Path) -> None:
    """It is halted in the tables alone: no event says so."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        line, _ = await scene.subscribe("status")
        await stream.session.execute("UPDATE markets SET status = 'HALTED' WHERE name = $1", stream.market)
        await eventually(lambda: line.of(Status)[-1].status is MarketStatus.HALTED)
        await stream.session.execute("UPDATE markets SET status = 'ACTIVE' WHERE name = $1", stream.market)


async def test_fundings_and_forced_fills_are_sent_and_replayed(broker: Broker, database: str, tmp_path: Path) -> None:
    """From the log as from the tables, with the same bytes."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        records = await forced_day(stream)
        funding, _ = await scene.subscribe("funding")
        forced, _ = await scene.subscribe("liquidations")
        await append(stream, records)
        await quiet(funding, 1, Funding)
        await quiet(forced, 1, Liquidation)
        await persist(stream, records)
        for live, channel, kind in ((funding, "funding", Funding), (forced, "liquidations", Liquidation)):
            again, _ = await scene.subscribe(channel, **{"from": 0})
            await quiet(again, live.of(kind)[-1].sequence, kind)
            assert again.frames[1:] == live.frames[1:]
            assert len(live.frames) > 1


async def forced_day(stream: Stream) -> list[EventRecord]:
    """Records of a market in which the fund takes 0.1 bought at 60,000 over at 59,000, and an interval ends."""
    long, short = stream.users[:2]
    orders = [
        SubmitOrder(user, OrderRequest(stream.market, side, OrderType.LIMIT, "0.1", "60000"))
        for user, side in ((long, Side.BUY), (short, Side.SELL))
    ]
    await stream.submit(orders)
    market_id = (await stream.progress()).market_id
    await stream.session.execute(
        "INSERT INTO liquidations (liquidation_id, kind, user_id, started_at, ended_at) OVERRIDING SYSTEM VALUE"
        " VALUES (7, 'LIQUIDATION', $1, now(), now())",
        long,
    )
    await stream.session.execute(
        "INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at)"
        " VALUES (7, 1, $1, 'TAKE_OVER', $2, 4, '{}', now())",
        long,
        market_id,
    )
    forced = TakeOver(BEGAN_AT, long, 7, 1, 100, Micros(6_000_000_000), Micros(5_900_000_000))
    assert await append_command(stream.session, stream.market, forced) == 4
    day_us = 86_400_000_000
    await commands_at(stream, AdvanceClock(Timestamp((BEGAN_AT // day_us + 1) * day_us + 1_000)))
    return await matched(stream)


async def test_subscriptions_are_refused_as_rest_refuses(broker: Broker, database: str, tmp_path: Path) -> None:
    """An unknown market, a parameter that a channel does not have, and a database that is down."""
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        for channel in (*LOG_CHANNELS, "ticker", "candles"):
            for name in ("DOGE-PERP", "x" * 70, "\x00"):
                assert await refusal(scene, channel, market=name) is ErrorCode.MARKET_NOT_FOUND
        wrong = [("trades", {"depth": 5}), ("book", {"from": 1}), ("ticker", {"interval": "1m"}), ("mark", {"from": 0})]
        for channel, parameters in wrong:
            assert await refusal(scene, channel, **parameters) is ErrorCode.INVALID_REQUEST
    nowhere = "postgresql://127.0.0.1:9/none"
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream, dsn=nowhere) as scene:
        for channel in (*LOG_CHANNELS, "ticker", "candles"):
            assert await refusal(scene, channel) is ErrorCode.UNAVAILABLE


async def refusal(scene: Scene, channel: str, **parameters: Any) -> ErrorCode:
    """The code with which a subscription is refused; nothing was sent."""
    line = Line()
    with pytest.raises(Refusal) as refused:
        await scene.subscribe(channel, line, **parameters)
    assert not line.frames
    return refused.value.code
