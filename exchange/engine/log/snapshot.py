"""A market as bytes, and back: the same state always gives the same bytes, whatever led to it.

Each side of the book is written worst price first and oldest order first within a price, so that reading it back puts
every order in its place. The indexes by expiry and account are not written: they follow from the orders.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from exchange.engine.market import Feed, Funding, Market
from exchange.engine.order import Order
from exchange.engine.rules import check_known
from exchange.position import Position
from schemas.market import MarketSpec, MarketStatus
from schemas.orders import Side
from schemas.units import Micros, Nanos, Ticks, Timestamp
from schemas.wire import HASH_BYTES


class _Holding(msgspec.Struct, array_like=True, gc=False):
    user: int
    lots: int
    cost: Micros
    realized: Micros
    opened_seq: int


class _State(msgspec.Struct, array_like=True):
    """The order of these fields is the format."""

    rules: int
    spec: MarketSpec
    status: MarketStatus
    index: Nanos
    mark: Ticks
    clock: Timestamp
    command_seq: int
    event_seq: int
    event_hash: str
    trade_seq: int
    operator_status: MarketStatus
    stage: int
    is_frozen: bool
    feeds: list[Feed]
    quorum: int
    basis: Nanos
    last_price: Ticks
    second: int
    minute: int
    funding: Funding
    index_minutes: list[Nanos]
    holdings: list[_Holding]
    buys: list[Order]
    sells: list[Order]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_State)


def dump(market: Market) -> bytes:
    """The whole market as bytes."""
    return _encoder.encode(
        (
            market.rules,
            market.spec,
            market.status,
            market.index,
            market.mark,
            market.clock,
            market.command_seq,
            market.event_seq,
            market.event_hash,
            market.trade_seq,
            market.operator_status,
            market.stage,
            market.is_frozen,
            list(market.feeds.values()),
            market.quorum,
            market.basis,
            market.last_price,
            market.second,
            market.minute,
            market.funding,
            market.index_minutes,
            [_holding(user, market.positions[user]) for user in sorted(market.positions)],
            _waiting(market, Side.BUY),
            _waiting(market, Side.SELL),
        )
    )


def load(state: bytes) -> Market:
    """The market that was dumped. Raises msgspec.DecodeError for what is not a dump, UnknownRules for one of newer code."""
    read = _decoder.decode(state)
    check_known(read.rules)
    market = Market(read.spec)
    market.rules = read.rules
    market.index = read.index
    market.mark = read.mark
    market.clock = read.clock
    market.command_seq = read.command_seq
    market.event_seq = read.event_seq
    market.event_hash = read.event_hash
    market.trade_seq = read.trade_seq
    market.operator_status = read.operator_status
    market.stage = read.stage
    market.is_frozen = read.is_frozen
    market.feeds = {feed.source.name: feed for feed in read.feeds}
    market.quorum = read.quorum
    market.basis = read.basis
    market.last_price = read.last_price
    market.second = read.second
    market.minute = read.minute
    market.funding = read.funding
    market.index_minutes = read.index_minutes
    market.positions = {h.user: Position(h.lots, h.cost, h.realized, h.opened_seq) for h in read.holdings}
    for orders in (read.buys, read.sells):
        for order in orders:
            market.rest(order)
    return market


def state_hash(state: bytes) -> str:
    """What tells one state from another (blake2b, 16 bytes, hex)."""
    return blake2b(state, digest_size=HASH_BYTES).hexdigest()


def _holding(user: int, position: Position) -> _Holding:
    return _Holding(user, position.lots, position.cost, position.realized, position.opened_seq)


def _waiting(market: Market, side: Side) -> list[tuple[Any, ...]]:
    """The orders of one side without their links, worst price first, oldest first within a price."""
    worst_first = sorted(market.book.walk(side), key=lambda order: side.sign * order.price)
    return [
        (
            o.order_seq,
            o.user,
            o.side,
            o.price,
            o.remaining,
            o.reduce_only,
            o.loss_per_lot,
            o.expires_at,
            o.taker_notional,
            o.maker_notional,
        )
        for o in worst_first
    ]
