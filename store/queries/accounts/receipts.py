"""Receipts of forced actions on an account: each action with its inputs and its outcome."""

from fractions import Fraction
from functools import partial
from operator import itemgetter
from typing import Any

import msgspec

from schemas.ids import public_event_id, public_order_id, public_trade_id
from schemas.market import MarketSpec
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.liquidations import ReceiptView
from schemas.rest.operating.console import OperatorReceiptView
from schemas.units import format_micros, format_ratio_6
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
# A deleveraging belongs to the account that it closes, and to each of those it was ordered against. Two statements, because
# the first is sorted by its index, and the second has few rows.
_OWN = "s.user_id = {}"
_AS_COUNTERPARTY = "s.action = 'ADL' AND adl_counterparties(s.inputs) @> ARRAY[{}::int8]"
_BY_TIME = ("s.at", "s.liquidation_id", "s.step")
_KEY = record_key("at", "liquidation_id", "step")
_ORDERED = frozenset({"LIQUIDATION", "FUND_SALE"})
_OF_OTHERS = ("rank", "score", "closes")


async def list_all_receipts(session: Session, request: ListRequest) -> Page[OperatorReceiptView] | Refused:
    """A page of the receipts on all accounts by time, filtered by market and period, each as the account concerned sees it."""
    after = decode_cursor(request.cursor, tuple[Moment, Int8, Int8])
    if isinstance(after, Refused):
        return after
    rows = await session.fetch(*_statement(Conditions("true"), request, after))
    found = rows[: request.limit + 1]
    return page_of(found, request.limit, _KEY, _operator_view)


async def list_receipts(session: Session, user: int, request: ListRequest) -> Page[ReceiptView] | Refused:
    """A page of a user's receipts by time, filtered by market and period; those of a counterparty included."""
    after = decode_cursor(request.cursor, tuple[Moment, Int8, Int8])
    if isinstance(after, Refused):
        return after
    rows: list[Any] = []
    for whose in (_OWN, _AS_COUNTERPARTY):
        rows += await session.fetch(*_statement(Conditions(whose, user), request, after))
    rows.sort(key=itemgetter("at", "liquidation_id", "step"), reverse=not request.is_oldest_first)
    found = rows[: request.limit + 1]
    return page_of(found, request.limit, _KEY, partial(receipt_view, user=user))


def _statement(where: Conditions, request: ListRequest, after: tuple[int, int, int] | None) -> tuple[Any, ...]:
    where.add_period("s.at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    if after is not None:
        where.add_after(_BY_TIME, (bounded_datetime(after[0]), *after[1:]), request)
    return f"{_COLUMNS}{where}{in_order(_BY_TIME, request)}", *where.arguments


def _operator_view(row: Any) -> OperatorReceiptView:
    return OperatorReceiptView(str(row["user_id"]), receipt_view(row, user=row["user_id"]))


def receipt_view(row: Any, *, user: int) -> ReceiptView:
    """A row of `liquidation_steps` with its liquidation and market, as the API shows it to this user."""
    market, event_seq, is_own = row["name"], row["event_seq"], row["user_id"] == user
    is_order = row["action"] in _ORDERED and market is not None and row["command_seq"] is not None
    inputs = msgspec.json.decode(row["inputs"])
    return ReceiptView(
        liquidation_id=str(row["liquidation_id"]),
        step=row["step"],
        kind=row["kind"],
        action=row["action"],
        role="LIQUIDATED" if is_own else "COUNTERPARTY",
        market_id=market,
        order_id=public_order_id(market, row["command_seq"]) if is_order else None,
        inputs=_own_inputs(inputs) if is_own else _counterparty_inputs(inputs, market, user),
        outcome=_outcome(row) if is_own else _counterparty_outcome(row, user),
        event_id=None if market is None or event_seq is None else public_event_id(market, event_seq),
        time=time_text(row["at"]),
        done_at=time_text_or_none(row["done_at"]),
        # when the other account's liquidation started and ended is its own affair
        started_at=time_text(row["started_at"] if is_own else row["at"]),
        ended_at=time_text_or_none(row["ended_at"] if is_own else row["done_at"]),
    )


def _own_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """All inputs; of the accounts in the ranking, and of those that the fund takes over, only what may be shown of others."""
    shown = dict(inputs)
    if "ranking" in inputs:
        shown["ranking"] = _ranking(inputs["ranking"], None)
    if "fund" in inputs:
        shown["fund"] = {"available": _available(inputs["fund"])}
    return shown


def _available(fund: dict[str, Any]) -> str:
    """What the fund can lose. Not its parts: a take-over under way counts with the equity of the account that it closes."""
    parts = (Fraction(fund[name]) for name in ("wallet", "unrealizedPnl", "inFlight"))
    return format_ratio_6(*sum(parts, Fraction(0)).as_integer_ratio())


def _ranking(ranking: list[dict[str, Any]], user: int | None) -> list[dict[str, Any]]:
    """Rank (from 1), score and lots taken of each; to a counterparty also which entry is its own."""
    places = (entry | {"rank": place} for place, entry in enumerate(ranking, 1))
    return [
        {name: entry[name] for name in _OF_OTHERS if name in entry}
        | ({} if user is None else {"isYou": entry["user"] == user})
        for entry in places
    ]


def _counterparty_inputs(inputs: dict[str, Any], market: str, user: int) -> dict[str, Any]:
    """To a counterparty: the ranking, the mark, and the price at which its lots were settled; nothing of the bankrupt account."""
    closure = inputs["closure"]
    (position,) = [each for each in inputs["positions"] if each["marketId"] == market]
    amount, size = Fraction(closure["amount"]), Fraction(closure["quantity"])
    return {
        "markPrice": position["markPrice"],
        "bankruptcyPrice": format_ratio_6(*(amount / size).as_integer_ratio()),
        "ranking": _ranking(inputs["ranking"], user),
    }


def _counterparty_outcome(row: Any, user: int) -> dict[str, Any] | None:
    """What was closed of the counterparty's own position; its realized profit is on the fill."""
    if row["outcome"] is None:
        return None
    outcome, spec = msgspec.json.decode(row["outcome"]), spec_of(row["spec"])
    mine = [each for each in outcome.get("transfers", []) if each["counterparty"] == user]
    facts: dict[str, Any] = {
        "quantity": sum(each["quantity"] for each in mine),
        "isStale": outcome.get("isStale", False),
    }
    facts["transfers"] = [{name: each[name] for name in _OWN_OF_TRANSFER} for each in mine]
    return _as_text(spec, facts)


_OWN_OF_TRANSFER = ("trade", "quantity", "amount", "price")


def _outcome(row: Any) -> dict[str, Any] | None:
    if row["outcome"] is None:
        return None
    outcome = msgspec.json.decode(row["outcome"])
    if row["event_seq"] is None or row["spec"] is None:  # done immediately, by the liquidator itself
        return {**outcome}
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
