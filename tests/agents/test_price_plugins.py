"""The price sources themselves: walks, recordings, and venues that answer with anything."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.prices.http_poll import ANSWER_BYTES_MAX, HttpPoll, NoPrice, is_pointer, price_in
from agents.prices.random_walk import RandomWalk
from agents.prices.recorded import (
    Recorded,
    RecordedPrice,
    RecordingRefused,
    as_commands,
    parse_recording,
    read_recording,
)
from agents.prices.source import Observation, Source
from schemas.market import INDEX_MAX
from schemas.units import Nanos, Timestamp

USDC = 10**9  # nanos
START = Nanos(60_000 * USDC)


def walk(name: str = "a", seed: int = 1, **options: int) -> RandomWalk:
    """A walk of BTC-PERP from 60,000."""
    return RandomWalk(name, "BTC-PERP", START, seed, **options)


def steps(source: RandomWalk, count: int) -> list[Nanos]:
    """Its next prices."""
    return [source.next_price() for _ in range(count)]


async def first(source: Source, count: int) -> list[Observation]:
    """What a source sees first."""
    seen = []
    async for one in source.prices():
        seen.append(one)
        if len(seen) == count:
            break
    return seen


def test_a_seed_walks_the_same_way_every_time() -> None:
    """And another seed another way."""
    assert steps(walk(), 50) == steps(walk(), 50) != steps(walk(seed=2), 50)


def test_sources_of_one_seed_walk_together() -> None:
    """Each has its own noise, 20 ppm at most, around one walk."""
    pairs = list(zip(steps(walk("a"), 500), steps(walk("b"), 500), strict=True))
    assert all(abs(a - b) <= 41 * START // 10**6 for a, b in pairs)
    assert any(a != b for a, b in pairs)


def test_a_walk_turns_back_before_it_is_too_far_from_its_start() -> None:
    """5 % off, and the noise."""
    prices = steps(walk(step_ppm=20_000), 2_000)
    assert max(abs(price - START) for price in prices) <= START * 50_020 // 10**6
    assert max(prices) > START * 104 // 100 > START * 96 // 100 > min(prices)


def test_a_nudged_walk_continues_from_where_it_was_put() -> None:
    """6 % down at once; however often, a price stays a price."""
    nudged, undisturbed = walk(noise_ppm=0), walk(noise_ppm=0)
    nudged.nudge(-60_000)
    [low], [high] = steps(nudged, 1), steps(undisturbed, 1)
    assert abs(low - high * 94 // 100) <= 1
    for _ in range(500):
        nudged.nudge(500_000)
    assert INDEX_MAX * 99 // 100 < steps(nudged, 1)[0] <= INDEX_MAX
    for _ in range(500):
        nudged.nudge(-500_000)
    assert steps(nudged, 1) == [1]


def test_a_recording_reads_the_same_as_csv_and_as_json_lines() -> None:
    """Offset in milliseconds, price in decimals; comments, a head line and empty lines are no prices."""
    csv = ["offsetMs,price", "# a comment", "0,60000.5", "", " 1500 , 59999.000000001 "]
    lines = ['{"offsetMs": 0, "price": "60000.5"}', '{"offsetMs": "1500", "price": "59999.000000001"}']
    expected = [RecordedPrice(0, Nanos(60_000_500_000_000)), RecordedPrice(1_500, Nanos(59_999_000_000_001))]
    assert list(parse_recording(csv)) == list(parse_recording(lines)) == expected


@pytest.mark.parametrize(
    "line",
    [
        *("x,60000", "-1,60000", "0.5,60000", "5,", "5", "5,NaN", "5,-1", "5,0", "5,1e5", "5,0.0000000001", "²,1"),
        *("5,1000000000.1", "99999999999999,1", "0,60000", '{"offsetMs": 5, "price": 60000}', '{"offsetMs": 5}', "{"),
        '{"offsetMs": 5, "price": "1", "more": 1}',
    ],
)
def test_a_line_that_is_no_price_refuses_the_recording(line: str) -> None:
    """By its number: nobody replays half of what they meant. A line may not go back in time either."""
    with pytest.raises(RecordingRefused) as refused:
        list(parse_recording(["3,60000", line]))
    assert refused.value.number == 2


async def test_a_recording_replays_bit_equal_and_faster(tmp_path: Path) -> None:
    """Every price of the file in order, at its offset divided by the speed; as commands it is the same each time."""
    path = tmp_path / "day.csv"
    path.write_text("".join(f"{n * 1_000},{60_000 + n}.{n:02d}\n" for n in range(60)))
    recording = read_recording(path)
    seen = await first(Recorded("rec", "BTC-PERP", recording, speed=200), 60)
    assert [one.price for one in seen] == [price for _, price in recording]
    assert [one.observed_at - seen[0].observed_at for one in seen] == [n * 5_000 for n in range(60)]
    began = Timestamp(1_800_000_000_000_000)
    commands = list(as_commands("rec", recording, began))
    assert commands == list(as_commands("rec", read_recording(path), began))
    assert [(command.at, command.observed_at) for command in commands[:2]] == [(began, began), (began + 10**6,) * 2]


@pytest.mark.parametrize(
    ("body", "pointer", "price"),
    [
        (b'{"price": "60000.50"}', "/price", 60_000_500_000_000),
        (b'{"price": 60000.5}', "/price", 60_000_500_000_000),
        (b'{"result": {"X/Y": [["0.1"], [60000]]}}', "/result/X~1Y/1/0", 60_000 * USDC),
        (b'[{"~": "0.000000001"}]', "/0/~0", 1),
    ],
)
def test_a_price_is_found_by_its_pointer(body: bytes, pointer: str, price: int) -> None:
    """As a string or as a number, which is read as written."""
    assert is_pointer(pointer)
    assert price_in(body, pointer) == price


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"nonsense", b"\xff\xfe", b"NaN", b"[" * 60_000, b'{"price"', b"null", b"[]", b'"60000"'),
        *(b'{"price": %s}' % value for value in (b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"{}", b"[1]")),
        *(b'{"price": %s}' % value for value in (b"-1", b"0", b"1e1000000", b"6E4", b"0.0000000001", b"1000000000.1")),
        *(b'{"price": "%s"}' % value for value in (b"NaN", b" 1", b"1 ", b"+1", b"1,5", b"0x10", b"", b"01", b"1\\n")),
        *(b'{"price": "\xd9\xa1"}', b'{"price": %s}' % (b"9" * 5_000), b'{"prices": 1}'),
    ],
)
def test_what_is_no_price_is_refused(body: bytes) -> None:
    """Never a float, never an exponent, never another digit: what the exchange reads elsewhere, and nothing else."""
    with pytest.raises(NoPrice):
        price_in(body, "/price")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = b'{"price": "60000"}'


def sized(body: bytes, head: bytes = HEAD) -> bytes:
    """An answer of that body."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


HOSTILE = {
    "too long": sized(b'{"price": "60000", "more": "%s"}' % (b"x" * ANSWER_BYTES_MAX)),
    "endless": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"2000\r\n%s\r\n" % (b" " * 0x2000) * 100,
    "cut": HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD,
    "silent": HEAD,
    "compressed": sized(b"\x1f\x8b", HEAD + b"Content-Encoding: gzip\r\n"),
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "error": sized(GOOD, b"HTTP/1.1 500 Oh\r\n"),
    "no HTTP": b"\x00\xff" * 500,
    "long head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "nothing": b"",
    "a lie": sized(b'{"price": "60000" "price": NaN}'),
}


@asynccontextmanager
async def venue(answers: Callable[[], bytes]) -> AsyncIterator[str]:
    """A server on this machine that returns the given answers to any request; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = answers()
        writer.write(answer)
        if answer == HOSTILE["silent"]:
            await asyncio.sleep(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/price"
    finally:
        server.close()


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_is_left_out_and_the_next_one_counts(name: str) -> None:
    """It neither ends the source nor becomes a price."""
    replies = itertools.chain([HOSTILE[name], sized(b'{"price": "59999"}')], itertools.repeat(sized(GOOD)))
    async with venue(lambda: next(replies)) as url:
        source = HttpPoll("venue", "BTC-PERP", url, "/price", every_ms=50, timeout_ms=300)
        seen = await asyncio.wait_for(first(source, 2), 5)
    assert [one.price for one in seen] == [59_999 * USDC, 60_000 * USDC]


async def test_a_slow_answer_is_as_old_as_its_question() -> None:
    """A venue cannot make an old price look fresh by keeping it."""
    async with venue(lambda: sized(GOOD)) as url:
        seen = await first(HttpPoll("venue", "BTC-PERP", url, "/price", every_ms=50), 2)
    assert seen[1].observed_at - seen[0].observed_at >= 50_000


async def test_a_venue_that_is_down_comes_back() -> None:
    """A refused connection is no price, and no end."""
    async with venue(lambda: b"") as url:
        pass
    source = HttpPoll("venue", "BTC-PERP", url, "/price", every_ms=50, timeout_ms=300)
    waiting = asyncio.create_task(first(source, 1))
    await asyncio.sleep(0.2)
    port = int(url.split(":")[2].split("/")[0])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(GOOD))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    assert [one.price for one in await asyncio.wait_for(waiting, 5)] == [60_000 * USDC]
    server.close()
