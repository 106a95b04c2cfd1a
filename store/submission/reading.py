"""The first round trip: which rows a batch concerns, and what they held once they were locked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from exchange.admission import Account, MarketTerms
from exchange.margin import Exposure, Holding
from exchange.order_draft import OrderDraft, read_order, request_hash
from schemas.ids import order_key, parse_public_order_id
from schemas.market import MarketStatus
from schemas.orders import OrderStatus
from schemas.refusals import Refused
from schemas.units import Micros, Ticks
from store.backlog import MarketLoad
from store.connect import Connection, Session
from store.markets import MarketRegistry
from store.submission.requests import CancelOrder, PlaceOrder, SubmissionRequest

_LOCK_AND_READ = "SELECT * FROM lock_submission($1::int8[], $2::int8[], $3::text[], $4::int8[])"


class Wish(NamedTuple):
    """A well-formed request to place an order; the hash is there when it has a client id."""

    draft: OrderDraft
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
    return [_read_wish(request) if isinstance(request, PlaceOrder) else None for request in batch]


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
    if any(row["kind"] == "market" and row["market_id"] not in registry.by_id for row in rows):
        await registry.refresh(connection)  # an id of that market could not be read before: ask once more
        rows = await connection.fetch(_LOCK_AND_READ, *_arguments(registry, batch, wishes))
    return reading_of(registry, rows, load)


async def lock_account(
    connection: Session, registry: MarketRegistry, user: int, load: Mapping[str, MarketLoad]
) -> Reading:
    """Lock one account and read it with all markets, as a batch would."""
    rows = await connection.fetch(_LOCK_AND_READ, [user], None, None, None)
    if any(row["market_id"] is not None and row["market_id"] not in registry.by_id for row in rows):
        await registry.refresh(connection)
    return reading_of(registry, rows, load)


def holdings_of(reading: Reading, exposures: Mapping[str, Exposure]) -> list[Holding]:
    """What margin is computed from: exposures by market, each at its market's mark."""
    return [Holding(reading.markets[name].spec, reading.markets[name].mark, held) for name, held in exposures.items()]


def reading_of(registry: MarketRegistry, rows: Sequence[asyncpg.Record], load: Mapping[str, MarketLoad]) -> Reading:
    """The rows of the first round trip, sorted by what they are of."""
    reading = Reading({}, {}, {}, {})
    for row in rows:
        match row["kind"]:
            case "market":
                terms = _terms(registry, row, load)
                reading.markets[terms.spec.market] = terms
            case "account":
                _add_account(registry, row, reading.accounts)
            case "client_id":
                first = FirstOrder(row["order_id"], row["market_id"], OrderStatus(row["status"]), row["request_hash"])
                reading.first_orders[row["user_id"], row["client_order_id"]] = first
            case _:
                target = CancelTarget(row["user_id"], row["market_id"], row["is_live"], row["cancel_seq"])
                reading.targets[row["order_id"]] = target
    return reading


def _read_wish(place: PlaceOrder) -> Wish | Refused:
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
    keys = {key_of(registry, request.order_id) for request in batch if isinstance(request, CancelOrder)} - {None}
    return (
        sorted(users),
        [user for user, _ in client_ids] or None,
        [client_id for _, client_id in client_ids] or None,
        [key for key in keys if key is not None] or None,
    )


def _terms(registry: MarketRegistry, row: asyncpg.Record, load: Mapping[str, MarketLoad]) -> MarketTerms:
    known = registry.by_id[row["market_id"]]
    burden = load.get(known.name)
    return MarketTerms(
        market_id=known.market_id,
        spec=known.spec,
        status=MarketStatus(row["status"]),
        mark=Ticks(row["mark"]),
        is_stale=burden is not None and burden.is_stale,
        is_backlogged=burden is not None and burden.is_backlogged,
        is_frozen=row["is_frozen"],
    )


def _add_account(registry: MarketRegistry, row: asyncpg.Record, accounts: dict[int, Account]) -> None:
    account = accounts.get(row["user_id"])
    if account is None:
        liquidation = row["liquidation_id"]
        account = Account(
            row["user_id"],
            Micros(row["wallet"]),
            {},
            is_liquidated=liquidation is not None,
            is_closing=liquidation is not None and liquidation < 0,
        )
        accounts[row["user_id"]] = account
    if row["market_id"] is not None:
        account.exposures[registry.by_id[row["market_id"]].name] = Exposure(
            leverage=row["leverage"],
            lots=row["lots"],
            cost=row["cost"],
            buy_notional=row["buy_notional"],
            sell_notional=row["sell_notional"],
            open_loss=row["open_loss"],
            open_fees=row["open_fees"],
            buy_lots=row["buy_lots"],
            sell_lots=row["sell_lots"],
            live_orders=row["live_orders"],
        )
