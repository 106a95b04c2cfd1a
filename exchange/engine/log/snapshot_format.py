"""A market as bytes, and back: the same state always gives the same bytes, whatever led to it.

Each side of the book is written worst price first and oldest order first within a price, so that reading it back puts
every order in its place. Everything else is the encoding of EngineState. The indexes are not written: letting the orders rest again rebuilds them.
From rules 4 on a tail follows, with what those rules brought.
"""

from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from exchange.engine.conditional.groups import GroupName
from exchange.engine.conditional.order import ConditionalOrder
from exchange.engine.dead_man.countdowns import Countdown
from exchange.engine.market import EngineState, Market
from exchange.engine.order import Order
from exchange.engine.rules import check_known
from exchange.position import Position
from schemas.market import RULES_FOURTH
from schemas.orders import Side
from schemas.units import Micros
from schemas.wire import HASH_BYTES, UNDECODABLE


class _Holding(msgspec.Struct, array_like=True, gc=False):
    user: int
    lots: int
    cost: Micros
    realized: Micros
    opened_seq: int


class _Group(msgspec.Struct, array_like=True, gc=False):
    user: int
    name: str
    members: list[int]


class _Tail(msgspec.Struct, array_like=True):
    """What came with rules 4: the waiting orders by number, the OCO groups by account and name, and the timers by user."""

    waiting: list[ConditionalOrder] = []
    groups: list[_Group] = []
    countdowns: list[Countdown] = []


class _Snapshot(EngineState, kw_only=True):
    """The state, then the positions by user and the orders of both sides; from rules 4 on the tail."""

    holdings: list[_Holding]
    buys: list[Order]
    sells: list[Order]
    tail: _Tail = msgspec.field(default_factory=_Tail)


class _NamedSpec(msgspec.Struct):
    market: str


class _Beginning(msgspec.Struct, array_like=True):
    """The first fields of a dump."""

    rules: int
    spec: _NamedSpec


_state_of = attrgetter(*EngineState.__struct_fields__)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Snapshot)
_beginning_decoder = msgspec.json.Decoder(_Beginning)


def dump(market: Market) -> bytes:
    """The whole market as bytes."""
    holdings = [_holding(user, market.positions[user]) for user in sorted(market.positions)]
    tail = (_tail(market),) if market.rules >= RULES_FOURTH else ()
    orders = (_resting(market, Side.BUY), _resting(market, Side.SELL))
    return _encoder.encode((*_state_of(market), holdings, *orders, *tail))


def load(state: bytes) -> Market:
    """The market that was dumped. Raises msgspec.DecodeError for what is not a dump, UnknownRules for one of newer code."""
    read = _decoder.decode(state)
    check_known(read.rules)
    market = Market(*_state_of(read))
    market.positions = {h.user: Position(h.lots, h.cost, h.realized, h.opened_seq) for h in read.holdings}
    for countdown in read.tail.countdowns:
        market.watch(countdown.user)
        market.countdowns.start(countdown)
    for order in (*read.buys, *read.sells):
        market.rest(order)
    for waiting in read.tail.waiting:
        market.wait(waiting)
    for group in read.tail.groups:
        for member in group.members:
            market.groups.join(member, GroupName(group.user, group.name))
    return market


def market_of(state: bytes) -> str | None:
    """The name of the market that was dumped, of any rules version; None for what is not a dump."""
    try:
        return _beginning_decoder.decode(state).spec.market
    except UNDECODABLE:
        return None


def state_hash(state: bytes) -> str:
    """The hash of a state (blake2b, 16 bytes, hex)."""
    return blake2b(state, digest_size=HASH_BYTES).hexdigest()


def _holding(user: int, position: Position) -> _Holding:
    return _Holding(user, position.lots, position.cost, position.realized, position.opened_seq)


def _tail(market: Market) -> _Tail:
    waiting = [order for _, order in sorted(market.waiting.orders.items())]
    groups = [_Group(group.user, group.name, members) for group, members in market.groups]
    return _Tail(waiting, groups, [countdown for _, countdown in sorted(market.countdowns.by_user.items())])


def _resting(market: Market, side: Side) -> list[tuple[Any, ...]]:
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
