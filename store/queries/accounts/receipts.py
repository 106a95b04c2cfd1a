"""Receipts of forced actions on an account: each action with its inputs and its outcome."""

from typing import Any

import msgspec

from schemas.ids import public_event_id, public_order_id, public_trade_id
from schemas.market import MarketSpec
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.liquidations import ReceiptView
from schemas.units import format_micros
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text, time_text_or_none
from store.queries.paging import (
    Conditions,
    Int8,
    ListRequest,
    Moment,
    bounded_datetime,
    decode_cursor,
    in_order,
    page_of,
    record_key,
)
from store.session.connect import Session

_COLUMNS = """
SELECT s.*, l.kind, l.started_at, l.ended_at, m.name, m.spec::text AS spec FROM liquidation_steps s
JOIN liquidations l USING (liquidation_id) LEFT JOIN markets m USING (market_id) WHERE
"""
_BY_TIME = ("s.at", "s.liquidation_id", "s.step")
_ORDERED = frozenset({"LIQUIDATION", "FUND_SALE"})


async def list_receipts(session: Session, user: int, request: ListRequest) -> Page[ReceiptView] | Refused:
    """A page of a user's receipts by time, filtered by market and period."""
    after = decode_cursor(request.cursor, tuple[Moment, Int8, Int8])
    if isinstance(after, Refused):
        return after
    where = Conditions("s.user_id = {}", user)
    where.add_period("s.at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    if after is not None:
        where.add_after(_BY_TIME, (bounded_datetime(after[0]), *after[1:]), request)
    rows = await session.fetch(f"{_COLUMNS}{where}{in_order(_BY_TIME, request)}", *where.arguments)
    return page_of(rows, request.limit, record_key("at", "liquidation_id", "step"), receipt_view)


def receipt_view(row: Any) -> ReceiptView:
    """A row of `liquidation_steps` with its liquidation and market as the API returns it, without the other users who took part."""
    market, event_seq = row["name"], row["event_seq"]
    is_order = row["action"] in _ORDERED and market is not None and row["command_seq"] is not None
    return ReceiptView(
        liquidation_id=str(row["liquidation_id"]),
        step=row["step"],
        kind=row["kind"],
        action=row["action"],
        market_id=market,
        order_id=public_order_id(market, row["command_seq"]) if is_order else None,
        inputs=_without_users(msgspec.json.decode(row["inputs"])),
        outcome=_outcome(row),
        event_id=None if market is None or event_seq is None else public_event_id(market, event_seq),
        time=time_text(row["at"]),
        done_at=time_text_or_none(row["done_at"]),
        started_at=time_text(row["started_at"]),
        ended_at=time_text_or_none(row["ended_at"]),
    )


def _without_users(value: Any) -> Any:
    """A receipt without the user ids of others in its ranking."""
    if isinstance(value, dict):
        return {name: _without_users(inner) for name, inner in value.items() if name != "user"}
    return [_without_users(inner) for inner in value] if isinstance(value, list) else value


def _outcome(row: Any) -> dict[str, Any] | None:
    if row["outcome"] is None:
        return None
    outcome = msgspec.json.decode(row["outcome"])
    if row["event_seq"] is None or row["spec"] is None:  # done immediately, by the liquidator itself
        return {**_without_users(outcome)}
    return _as_text(spec_of(row["spec"]), outcome)


def _as_text(spec: MarketSpec, facts: dict[str, Any]) -> dict[str, Any]:
    """The stored lots, ticks and micros (store/projection/forced.py) as decimal strings and public ids."""
    texts: dict[str, Any] = {}
    for name, value in facts.items():
        match name:
            case "trade":
                texts["tradeId"] = public_trade_id(spec.market, value)
            case "quantity":
                texts[name] = quantity_text(spec, value)
            case "mark" | "price":
                texts[f"{name}Price" if name == "mark" else name] = price_text(spec, value)
            case "notional" | "fee" | "amount":
                texts[name] = format_micros(value)
            case "realized":
                texts["realizedPnl"] = format_micros(value)
            case "isStale":
                texts[name] = value
            case "transfers":
                texts[name] = [_as_text(spec, transfer) for transfer in value]
            case _:  # the order, which the receipt itself names, and the other account, which stays private
                pass
    return texts
