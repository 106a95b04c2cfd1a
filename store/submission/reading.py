"""The first round trip: the rows that a batch concerns, as they are once the accounts are locked."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import asyncpg

from exchange.risk.account import MarginAccount, MarketState, PositionRisk
from exchange.risk.amending import parse_amend
from exchange.risk.amending_waiting import WaitingOrder
from exchange.risk.order_draft import ParsedOrder, parse_order, request_hash
from schemas.ids import order_key, parse_public_order_id
from schemas.orders import OrderStatus, Side
from schemas.refusals import Refused
from store.margin_accounts import account_in, exposure_of, market_of
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.session.connect import Connection, Session
from store.submission.amended_orders import AmendTarget, AmendWish, amend_target
from store.submission.conditional_reading import NOTHING_CONDITIONAL, ConditionalState, read_conditional
from store.submission.requests import (
    PartRequest,
    SubmissionRequest,
    SubmitAmend,
    SubmitCancel,
    SubmitCancelAll,
    SubmitCountdown,
    SubmitOrder,
    parts_of,
)

_LOCK_AND_READ = "SELECT * FROM lock_trading_accounts($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::int8[])"
_READ = "SELECT * FROM read_trading_accounts(ARRAY[$1::int8])"
_READ_LIVE = """
SELECT order_id, user_id, market_id, side, cancel_seq FROM orders
WHERE user_id = ANY($1::int8[]) AND (is_live OR is_waiting) ORDER BY order_id
"""
"""What a cancel-all cancels."""
_READ_STATES = "SELECT order_id, status, filled_lots FROM orders WHERE order_id = ANY($1::int8[])"


class ParsedRequest(NamedTuple):
    """A well-formed request to place an order, with a hash when it has a client id."""

    draft: ParsedOrder
    hash: bytes | None


class FirstOrder(NamedTuple):
    """The order that a client id belongs to, and the keys of those attached to it."""

    order: int
    market_id: int
    status: OrderStatus
    hash: bytes
    take_profit: int | None
    stop_loss: int | None


class CancelTarget(NamedTuple):
    """An order to cancel, open while it is live or waits; `cancel_seq` is the command that already cancels it."""

    user: int
    market_id: int
    is_open: bool
    cancel_seq: int | None


class LiveOrder(NamedTuple):
    """An order that a cancel-all finds; `cancel_seq` is the command that already cancels it."""

    order: int
    market_id: int
    side: Side
    cancel_seq: int | None


class OrderState(NamedTuple):
    """What a refused cancel reports of its order: its status and the filled lots."""

    status: OrderStatus
    filled_lots: int


class BatchState(NamedTuple):
    """Everything that deciding a batch needs, as of the moment the accounts were locked.

    `live` are the orders, oldest first, of the users who cancel all.
    """

    markets: dict[str, MarketState]
    accounts: dict[int, MarginAccount]
    first_orders: dict[tuple[int, str], FirstOrder]
    targets: dict[int, CancelTarget]
    amended: dict[int, AmendTarget]
    live: dict[int, list[LiveOrder]]
    conditional: ConditionalState = NOTHING_CONDITIONAL


Wish = ParsedRequest | AmendWish | Refused | None
"""What a part of a batch asks for, once it is parsed; None for a cancel or a timer."""


class Unit(NamedTuple):
    """A request as its parts, which are decided one after the other in one transaction, and what each of them asks for."""

    parts: tuple[PartRequest, ...]
    wishes: tuple[Wish, ...]


def unit_of(request: SubmissionRequest) -> Unit:
    """A request taken apart."""
    parts = parts_of(request)
    return Unit(parts, tuple(_read_wish(part) for part in parts))


def key_of(registry: MarketRegistry, order_id: str) -> int | None:
    """The database key of a public order id; None for an id that was never issued."""
    parsed = parse_public_order_id(order_id)
    market = registry.by_name.get(parsed[0]) if parsed else None
    return order_key(market.market_id, parsed[1]) if parsed and market else None


async def lock_and_read(
    connection: Connection,
    registry: MarketRegistry,
    batch: Sequence[PartRequest],
    wishes: Sequence[Wish],
    load: Mapping[str, MarketLoad],
) -> BatchState:
    """Lock the accounts of the batch in user order and read its rows; the registry learns new markets and specifications."""
    rows = await connection.fetch(_LOCK_AND_READ, *_arguments(registry, batch, wishes))
    if not _are_current(registry, rows):
        await registry.refresh(connection)  # an id of a new market could not be parsed before: read once more
        rows = await connection.fetch(_LOCK_AND_READ, *_arguments(registry, batch, wishes))
    reading = reading_of(registry, rows, load)
    await _read_live(connection, reading, {request.user for request in batch if isinstance(request, SubmitCancelAll)})
    asked = [
        (request.user, wish.draft)
        for request, wish in zip(batch, wishes, strict=True)
        if isinstance(wish, ParsedRequest) and wish.draft.is_of_conditional_rules
    ]
    waiting = {target.order.market for target in reading.amended.values() if isinstance(target.order, WaitingOrder)}
    if not asked and not waiting:
        return reading
    return reading._replace(conditional=await read_conditional(connection, asked, waiting))


async def _read_live(connection: Connection, reading: BatchState, users: Set[int]) -> None:
    """Add the live and waiting orders of users whose accounts are locked: nothing can be placed meanwhile, so none is missing."""
    if users:
        for row in await connection.fetch(_READ_LIVE, sorted(users)):
            live = LiveOrder(row["order_id"], row["market_id"], Side(row["side"]), row["cancel_seq"])
            reading.live.setdefault(row["user_id"], []).append(live)


async def read_states(connection: Connection, orders: Sequence[int]) -> dict[int, OrderState]:
    """The states of orders, by database key; nothing is asked where there are none."""
    if not orders:
        return {}
    rows = await connection.fetch(_READ_STATES, orders)
    return {row["order_id"]: OrderState(OrderStatus(row["status"]), row["filled_lots"]) for row in rows}


async def lock_account(
    connection: Session, registry: MarketRegistry, user: int, load: Mapping[str, MarketLoad]
) -> BatchState:
    """Lock one account and read it with all markets, as for a batch."""
    rows = await connection.fetch(_LOCK_AND_READ, [user], None, None, None, None)
    return await _known_rows(connection, registry, rows, load)


async def read_unlocked(
    session: Session, registry: MarketRegistry, user: int, load: Mapping[str, MarketLoad]
) -> BatchState:
    """Read one account with all markets, in one snapshot, without a lock: for answers that write nothing."""
    return await _known_rows(session, registry, await session.fetch(_READ, user), load)


async def _known_rows(
    session: Session, registry: MarketRegistry, rows: Sequence[asyncpg.Record], load: Mapping[str, MarketLoad]
) -> BatchState:
    """The rows grouped; the registry learns new markets and specifications first."""
    if not _are_current(registry, rows):
        await registry.refresh(session)
    return reading_of(registry, rows, load)


def _are_current(registry: MarketRegistry, rows: Sequence[asyncpg.Record]) -> bool:
    """Whether the registry knows all markets as they are; the rows of markets carry the event of their specification as cost."""
    return all(registry.is_current(row["market_id"], row["cost"]) for row in rows if row["kind"] == "market")


def _read_wish(request: PartRequest) -> Wish:
    match request:
        case SubmitOrder():
            draft = parse_order(request.request)
            if isinstance(draft, Refused):
                return draft
            return ParsedRequest(draft, request_hash(draft) if request.request.client_order_id else None)
        case SubmitAmend():
            amend = parse_amend(request.request)
            return amend if isinstance(amend, Refused) else AmendWish(request.order_id, amend)
        case SubmitCancel() | SubmitCancelAll() | SubmitCountdown():
            return None


def _arguments(
    registry: MarketRegistry, batch: Sequence[PartRequest], wishes: Sequence[Wish]
) -> tuple[list[int], list[int] | None, list[str] | None, list[int] | None, list[int] | None]:
    users = {request.user for request in batch}
    client_ids = {
        (request.user, wish.draft.request.client_order_id)
        for request, wish in zip(batch, wishes, strict=True)
        if isinstance(wish, ParsedRequest) and wish.draft.request.client_order_id
    }
    cancelled = [key_of(registry, request.order_id) for request in batch if isinstance(request, SubmitCancel)]
    amended = [key_of(registry, wish.order_id) for wish in wishes if isinstance(wish, AmendWish)]
    return (
        sorted(users),
        [user for user, _ in client_ids] or None,
        [client_id for _, client_id in client_ids] or None,
        _known(cancelled),
        _known(amended),
    )


def _known(keys: Iterable[int | None]) -> list[int] | None:
    """The keys of orders that may exist, each once; None for none."""
    return list({key for key in keys if key is not None}) or None


def reading_of(registry: MarketRegistry, rows: Sequence[asyncpg.Record], load: Mapping[str, MarketLoad]) -> BatchState:
    """The rows of the first round trip, grouped by kind; those of markets come first."""
    reading = BatchState({}, {}, {}, {}, {}, {})
    for row in rows:
        kind, market_id = row["kind"], row["market_id"]
        if kind == "account":
            account = account_in(reading.accounts, row, is_frozen=bool(row["is_frozen"]))
            if market_id is not None:
                name = registry.by_id[market_id].name
                account.exposures[name] = PositionRisk(reading.markets[name], exposure_of(row))
        elif kind == "market":
            known = registry.by_id[market_id]
            reading.markets[known.name] = market_of(row, known.spec, load.get(known.name))
        elif kind == "client_id":
            first = FirstOrder(
                row["order_id"],
                market_id,
                OrderStatus(row["status"]),
                row["request_hash"],
                row["take_profit_order_id"],
                row["stop_loss_order_id"],
            )
            reading.first_orders[row["user_id"], row["client_order_id"]] = first
        elif kind == "amended":
            order, name = row["order_id"], registry.by_id[market_id].name
            reading.amended[order] = amend_target(order, market_id, name, row["amended"])
        else:
            target = CancelTarget(row["user_id"], market_id, row["is_open"], row["cancel_seq"])
            reading.targets[row["order_id"]] = target
    return reading
