"""P11: a thousand subscribers of one market's book and trades at 200 orders a second, through the whole tree.

Compared with a bare aiohttp server that sends the same texts to as many connections of the same generator, as fast as it can; and the
orders accepted meanwhile with those accepted without subscribers. First, while nobody trades, what a subscriber weighs.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from bench.exchange_process import ExchangeProcess
from bench.load.generator import REFERENCE
from bench.load.job import Kind, Report
from bench.load.live.job import Audience, Heard
from bench.load.live.listening import listening
from bench.load.order_bodies import random_orders
from bench.load.users import FundedUser
from bench.result import Bar, Outcome, Row, alone, compared, percentile
from bench.servers import bare_broadcast
from bench.sizes import Size
from bench.watching import resident_bytes
from bench.whole import address_of, drained, load_on, users_of

MARKET = "BTC-PERP"
ORDERS_PER_S = 200
TRADERS = 64
CONNECTIONS_OF_A_USER = 20
KIB = 2**10
MESSAGES_BAR, ORDERS_BAR = Bar(0.7), Bar(0.8)
WEIGHT_BAR = Bar(100, is_floor=False, unit="KiB")


async def measure(exchange: ExchangeProcess, folder: Path, size: Size) -> Outcome:
    """The weight, then rounds: without subscribers, with them, and the bare server."""
    traders = await users_of(exchange, min(TRADERS, size.users), "trader")
    listeners = await users_of(exchange, -(-size.subscribers // CONNECTIONS_OF_A_USER), "listener")
    audience = _audience(exchange, listeners, size.subscribers)
    await _weight(exchange, _audience(exchange, listeners, min(size.subscribers, CONNECTIONS_OF_A_USER)))  # warm
    weight = await _weight(exchange, audience)
    rounds = [await _round(exchange, folder, traders, audience, size) for _ in range(size.broadcast_rounds)]
    return Outcome(_rows(size.subscribers, weight, rounds), notes=[_note(each) for each in rounds])


class _Round:
    """Orders without and with subscribers, what these heard, and what those of the bare server heard."""

    def __init__(self, without: Report, during: Report, ours: Heard, bare: Heard) -> None:
        self.without, self.during, self.ours, self.bare = without, during, ours, bare


def _audience(exchange: ExchangeProcess, listeners: Sequence[FundedUser], count: int) -> Audience:
    channels = [{"op": "subscribe", "id": 2, "channel": name, "market": MARKET} for name in ("book", "trades")]
    tokens = [listeners[place % len(listeners)].token for place in range(count)]
    requests = [[{"op": "auth", "id": 1, "token": token}, *channels] for token in tokens]
    return Audience(*address_of(exchange), [[json.dumps(each) for each in asked] for asked in requests])


async def _weight(exchange: ExchangeProcess, audience: Audience) -> float:
    """KiB of the API process for each quiet subscriber."""
    before = resident_bytes(exchange)["api"]
    async with listening(audience):
        return (resident_bytes(exchange)["api"] - before) / KIB / len(audience.requests)


async def _round(
    exchange: ExchangeProcess, folder: Path, traders: Sequence[FundedUser], audience: Audience, size: Size
) -> _Round:
    without = await _orders(exchange, traders, size)
    async with listening(audience) as listeners:
        await listeners.count()
        during = await _orders(exchange, traders, size)
        ours = await listeners.all_heard()
    assert not ours.lost, f"{ours.lost} subscribers were cut"
    return _Round(without, during, ours, await _bare(folder, ours.frames, len(audience.requests)))


async def _orders(exchange: ExchangeProcess, traders: Sequence[FundedUser], size: Size) -> Report:
    orders = random_orders(len(traders), 1_000, {MARKET: REFERENCE[MARKET]})
    load = {"kind": Kind.OPEN, "rate": ORDERS_PER_S, "seconds": size.broadcast_s, "connections": len(traders)}
    report = await load_on(exchange, traders, orders=orders, **load)
    assert set(report.statuses) == {"order 202"}, (report.statuses, report.codes)
    await drained(exchange)
    return report


async def _bare(folder: Path, frames: list[str], count: int) -> Heard:
    """The same texts from the bare server."""
    async with (
        bare_broadcast(folder, frames) as port,
        listening(Audience("127.0.0.1", port, [[] for _ in range(count)])) as listeners,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
    ):
        await listeners.count()
        async with session.post(f"http://127.0.0.1:{port}/send") as sent:
            assert sent.status == 200
        heard = await listeners.all_heard()
    assert heard.messages == len(frames) * count, "the bare server sends everything"
    return heard


def _rows(subscribers: int, weight: float, rounds: Sequence[_Round]) -> list[Row]:
    of = f"{subscribers:,} subscribers at {ORDERS_PER_S} orders/s"
    bare = ("bare aiohttp broadcast", [each.bare.per_s for each in rounds])
    without = ("without subscribers", [each.without.accepted / each.without.seconds for each in rounds])
    accepted = [each.during.accepted / each.during.seconds for each in rounds]
    return [
        compared("P11", f"{of}: received", "messages/s", [each.ours.per_s for each in rounds], bare, MESSAGES_BAR),
        compared("P11", f"{of}: accepted", "orders/s", accepted, without, ORDERS_BAR),
        alone("P11", "weight of a quiet subscriber", "KiB", [weight], WEIGHT_BAR),
    ]


def _note(each: _Round) -> str:
    ours, bare = each.ours, each.bare
    p99s = [percentile(report.latencies_ms["order 202"], 0.99) for report in (each.without, each.during)]
    return (
        f"P11: {ours.messages} messages, {ours.bytes / 2**20:.0f} MiB in {ours.seconds:.1f} s, {ours.fewest} to {ours.most} a subscriber; "
        f"bare {bare.messages} in {bare.seconds:.1f} s; answer to an order without and with subscribers: "
        f"p99 {p99s[0]:.1f} and {p99s[1]:.1f} ms."
    )
