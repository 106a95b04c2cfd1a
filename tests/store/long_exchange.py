"""A market that trades by the hundred thousand over real tables: orders stored in blocks, events through the projection.

Only the submission and the broker are left out: their work is done here, block by block.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from agents.matching.market_assignment import MarketAssignment, StartingPoint
from broker.event_records import pack
from exchange.engine.log.snapshot_format import dump
from schemas.commands import AdvanceClock, CancelOrder, CancelOrders, Command, PlaceOrder, SetIndex
from schemas.ids import order_key
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.units import Nanos, Timestamp, datetime_of
from schemas.wire import CommandRecord, EventRecord, NumberedCommand, encode
from store.markets.progress import read_market_progress
from tests.store.projection_builders import NOON, Exchange, an_order

BTC = "BTC-PERP"
USERS = 40
BLOCK = 2_000
_COLUMNS = (
    *("order_id", "user_id", "market_id", "side", "type", "time_in_force", "self_trade_prevention", "post_only"),
    *("reduce_only", "quantity", "remaining", "price", "margin_price", "loss_per_lot", "fee_per_lot"),
    *("created_at", "updated_at"),
)
_SUMS = ("buy_lots", "sell_lots", "buy_notional", "sell_notional", "open_loss", "open_fees", "live_orders")
_RESERVE = f"""
INSERT INTO positions AS p (user_id, market_id, leverage, {", ".join(_SUMS)})
SELECT t.user_id, $1, 20, {", ".join(f"t.{name}" for name in _SUMS)}
FROM unnest($2::int8[], {", ".join(f"${n}::int8[]" for n in range(3, 10))}) t(user_id, {", ".join(_SUMS)})
ON CONFLICT (user_id, market_id) DO UPDATE SET {", ".join(f"{name} = p.{name} + excluded.{name}" for name in _SUMS)}
"""


class LongMarket:
    """BTC-PERP with forty rich users; `seq` is the last command that was accepted."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self.exchange = exchange
        self.chance = random.Random(seed)  # noqa: S311 - the same course in every run
        self.market = exchange.markets[BTC]
        self.known = exchange.registry.by_name[BTC]
        self.projection = exchange.projections[BTC]
        self.seq = 0
        self.users: list[int] = []

    async def open(self) -> None:
        """Users with money, and the listing of the market in its place."""
        self.users = [await self.exchange.user(f"u{n}@x.io", "1000000000") for n in range(USERS)]
        await self.exchange.settle()
        self.seq = self.market.command_seq
        progress = await read_market_progress(self.exchange.session, BTC)
        self.assignment = MarketAssignment(BTC, progress, StartingPoint(self.market, -1), {})

    async def next_block(self, size: int = BLOCK) -> list[NumberedCommand]:
        """Accept a number of commands, as the submission does: order rows, margin sums and the counter, one transaction."""
        commands = [(self.seq + n, self._any_command(self.seq + n)) for n in range(1, size + 1)]
        orders = [(seq, command) for seq, command in commands if isinstance(command, PlaceOrder)]
        session = self.exchange.session
        async with session.transaction():
            rows = [self._row(seq, order) for seq, order in orders]
            await session.execute(_RESERVE, self.known.market_id, *self._reserved(order for _, order in orders))
            await session.copy_records_to_table("orders", records=rows, columns=_COLUMNS)
            await session.execute(
                "UPDATE counters SET command_seq = $2 WHERE market_id = $1", *self._at(commands[-1][0])
            )
            await session.execute(
                "UPDATE relay_cursors SET command_seq = $2, pruned_seq = $2 WHERE market_id = $1",
                *self._at(commands[-1][0]),
            )
        self.seq += size
        return [NumberedCommand(seq, msgspec.Raw(encode(command))) for seq, command in commands]

    def match(self, commands: Sequence[NumberedCommand]) -> list[EventRecord]:
        """The events of a command record, of what is new in it, as the engine packs them."""
        before = self.market.event_hash
        fresh = self.assignment.sequencer.sort(CommandRecord(BTC, 1, list(commands))).fresh
        return list(pack(BTC, 1, before, self.assignment.apply(fresh)))

    def forget(self) -> None:
        """A snapshot covers all that was matched."""
        self.assignment.saved(self.market.command_seq, dump(self.market))

    def _at(self, seq: int) -> tuple[int, int]:
        return self.known.market_id, seq

    def _row(self, seq: int, order: PlaceOrder) -> tuple[Any, ...]:
        at = datetime_of(order.at)
        kind = (order.side, order.order_type, order.time_in_force, order.self_trade_prevention)
        margined = (order.margin_price, order.loss_per_lot, order.fee_per_lot)
        flags = (order.post_only, order.reduce_only)
        sizes = (order.quantity, order.quantity, order.price)
        key = order_key(self.known.market_id, seq)
        return (key, order.user, self.known.market_id, *map(str, kind), *flags, *sizes, *margined, at, at)

    def _reserved(self, orders: Iterator[PlaceOrder]) -> list[list[int]]:
        sums: dict[int, list[int]] = defaultdict(lambda: [0] * len(_SUMS))
        for order in orders:
            held, lots = sums[order.user], order.quantity
            buys = 0 if order.side is Side.BUY else 1
            held[buys] += lots
            held[2 + buys] += self.known.spec.notional(order.margin_price, lots)
            held[4] += lots * order.loss_per_lot
            held[5] += lots * order.fee_per_lot
            held[6] += 1
        return [list(sums), *map(list, zip(*sums.values(), strict=True))]

    def _any_command(self, seq: int) -> Command:
        """Mostly orders that meet, around 60,000; every tenth a cancel, a tenth of these of several orders, now and then a mark or a clock."""
        at, draw = Timestamp(NOON + seq), self.chance.random()
        if draw < 0.01:
            return CancelOrders(at, self.chance.choice(self.users), tuple(range(max(2, seq - 60), seq)))
        if draw < 0.1:
            return CancelOrder(at, self.chance.choice(self.users), seq - self.chance.randint(1, 60))
        if draw < 0.11:
            return SetIndex(at, Nanos((60_000 * 10 + self.chance.randint(-9, 9)) * 10**8))
        if draw < 0.12:
            return AdvanceClock(at)
        return self._any_order(at)

    def _any_order(self, at: Timestamp) -> PlaceOrder:
        chance = self.chance
        kind = chance.choice(_KINDS)
        return an_order(
            chance.choice(self.users),
            chance.choice(_SIDES),
            chance.randint(1, 99),
            600_000 + chance.randint(-4, 4),
            at=at,
            time_in_force=kind,
            expires_at=at + chance.randint(1, 500) if kind is TimeInForce.GTD else None,
            order_type=OrderType.MARKET if kind is TimeInForce.IOC and chance.random() < 0.3 else OrderType.LIMIT,
            reduce_only=chance.random() < 0.2,
            self_trade_prevention=chance.choice(_PREVENTIONS),
        )


def parcels(records: Sequence[EventRecord], size: int) -> Iterator[list[EventRecord]]:
    """The records in lots, as a projection takes what waits."""
    borders = [*range(0, len(records), size), len(records)]
    return (list(records[first:stop]) for first, stop in pairwise(borders))


_SIDES = list(Side)
_PREVENTIONS = list(SelfTradePrevention)
_KINDS = [TimeInForce.GTC] * 4 + [TimeInForce.GTD, TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK]
