"""The first round trip: which rows a batch concerns, and what they held once they were locked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from exchange.risk.admission import Account, MarketTerms
from exchange.risk.margin import Exposure, Holding
from exchange.risk.order_draft import ParsedOrder, read_order, request_hash
from schemas.ids import order_key, parse_public_order_id
from schemas.market import MarketStatus
from schemas.orders import OrderStatus
from schemas.refusals import Refused
from schemas.units import Micros, Ticks
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.session.connect import Connection, Session
from store.submission.requests import SubmissionRequest, SubmitCancel, SubmitOrder

_LOCK_AND_READ = "SELECT * FROM lock_submission($1::int8[], $2::int8[], $3::text[], $4::int8[])"
_KIND, _MARKET = 0, 2


class Wish(NamedTuple):
    """A well-formed request to place an order; the hash is there when it has a client id."""

    draft: ParsedOrder
    hash: bytes | None


class FirstOrder(NamedTuple):
    """The order that a client id belongs to."""

    order: int
    market_id: int
    status: OrderStatus
    hash: bytes


class CancelTarget(NamedTuple):
    """An order that someone wants to cancel; `cancel_seq` is the command that already asks for it."""

    user: int
    market_id: int
    is_live: bool
    cancel_seq: int | None


class Reading(NamedTuple):
    """Everything that deciding a batch needs, as of the moment the accounts were locked."""

    markets: dict[str, MarketTerms]
    accounts: dict[int, Account]
    first_orders: dict[tuple[int, str], FirstOrder]
    targets: dict[int, CancelTarget]


def read_wishes(batch: Sequence[SubmissionRequest]) -> list[Wish | Refused | None]:
    """The syntax of every order in the batch, in its place; None where a cancel stands."""
    return [_read_wish(request) if isinstance(request, SubmitOrder) else None for request in batch]


def key_of(registry: MarketRegistry, order_id: str) -> int | None:
    """The database key of a public order id; None for an id that was never ours."""
    parsed = parse_public_order_id(order_id)
    market = registry.by_name.get(parsed[0]) if parsed else None
    return order_key(market.market_id, parsed[1]) if parsed and market else None


async def lock_and_read(
    connection: Connection,
    registry: MarketRegistry,
    batch: Sequence[SubmissionRequest],
    wishes: Sequence[Wish | Refused | None],
    load: Mapping[str, MarketLoad],
) -> Reading:
    """Lock the accounts of the batch in user order and read what it concerns; markets listed since are learnt."""
    rows = await connection.fetch(_LOCK_AND_READ, *_arguments(registry, batch, wishes))
    if any(row[_KIND] == "market" and row[_MARKET] not in registry.by_id for row in rows):
        await registry.refresh(connection)  # an id of that market could not be read before: ask once more
        rows = await connection.fetch(_LOCK_AND_READ, *_arguments(registry, batch, wishes))
    return reading_of(registry, rows, load)


async def lock_account(
    connection: Session, registry: MarketRegistry, user: int, load: Mapping[str, MarketLoad]
) -> Reading:
    """Lock one account and read it with all markets, as a batch would."""
    rows = await connection.fetch(_LOCK_AND_READ, [user], None, None, None)
    if any(row[_MARKET] is not None and row[_MARKET] not in registry.by_id for row in rows):
        await registry.refresh(connection)
    return reading_of(registry, rows, load)


def holdings_of(reading: Reading, exposures: Mapping[str, Exposure]) -> list[Holding]:
    """What margin is computed from: exposures by market, each at its market's mark."""
    return [Holding(reading.markets[name].spec, reading.markets[name].mark, held) for name, held in exposures.items()]


def _read_wish(place: SubmitOrder) -> Wish | Refused:
    draft = read_order(place.request)
    if isinstance(draft, Refused):
        return draft
    return Wish(draft, request_hash(draft) if place.request.client_order_id else None)


def _arguments(
    registry: MarketRegistry, batch: Sequence[SubmissionRequest], wishes: Sequence[Wish | Refused | None]
) -> tuple[list[int], list[int] | None, list[str] | None, list[int] | None]:
    users = {request.user for request in batch}
    client_ids = {
        (request.user, wish.draft.request.client_order_id)
        for request, wish in zip(batch, wishes, strict=True)
        if isinstance(wish, Wish) and wish.draft.request.client_order_id
    }
    keys = {key_of(registry, request.order_id) for request in batch if isinstance(request, SubmitCancel)} - {None}
    return (
        sorted(users),
        [user for user, _ in client_ids] or None,
        [client_id for _, client_id in client_ids] or None,
        [key for key in keys if key is not None] or None,
    )


def reading_of(registry: MarketRegistry, rows: Sequence[asyncpg.Record], load: Mapping[str, MarketLoad]) -> Reading:
    """The rows of the first round trip, sorted by what they are of.

    By position, in the order of lock_submission's columns: names cost three times as much.
    """
    reading = Reading({}, {}, {}, {})
    accounts, by_id = reading.accounts, registry.by_id
    for row in rows:
        kind, user, market_id, status, mark, is_frozen, wallet, liquidation, lots, cost, leverage, *sums = row
        *sums, client_order_id, order, request_hash, is_live, cancel_seq = sums
        if kind == "account":
            account = accounts.get(user)
            if account is None:
                accounts[user] = account = _account(user, wallet, liquidation)
            if market_id is not None:
                account.exposures[by_id[market_id].name] = Exposure(leverage, lots, cost, *sums)
        elif kind == "market":
            terms = _terms(registry, market_id, status, mark, load, is_frozen=is_frozen)
            reading.markets[terms.spec.market] = terms
        elif kind == "client_id":
            reading.first_orders[user, client_order_id] = FirstOrder(
                order, market_id, OrderStatus(status), request_hash
            )
        else:
            reading.targets[order] = CancelTarget(user, market_id, is_live, cancel_seq)
    return reading


def _terms(
    registry: MarketRegistry, market_id: int, status: str, mark: int, load: Mapping[str, MarketLoad], *, is_frozen: bool
) -> MarketTerms:
    known = registry.by_id[market_id]
    burden = load.get(known.name)
    return MarketTerms(
        market_id=known.market_id,
        spec=known.spec,
        status=MarketStatus(status),
        mark=Ticks(mark),
        is_stale=burden is not None and burden.is_stale,
        is_backlogged=burden is not None and burden.is_backlogged,
        is_frozen=is_frozen,
    )


def _account(user: int, wallet: int, liquidation: int | None) -> Account:
    return Account(
        user,
        Micros(wallet),
        {},
        is_liquidated=liquidation is not None,
        is_closing=liquidation is not None and liquidation < 0,
    )
