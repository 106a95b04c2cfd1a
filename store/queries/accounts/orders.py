"""Orders of a user, with every submitted field and their state."""

from typing import Any

from schemas.ids import parse_public_order_id, public_id_of_order, public_id_of_order_or_none
from schemas.market import MarketSpec
from schemas.orders import EndReason, OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.orders import OrderView
from schemas.units import Timestamp, format_micros, format_ppm
from store.queries.arrivals import Arrivals, TimedList, list_by_time
from store.queries.formatting import (
    average_price_text,
    price_text,
    quantity_text,
    spec_of,
    storable,
    time_text,
    time_text_or_none,
)
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

# The fee of a liquidation's order is in the outcome of its step; the order's key holds the command.
SELECT_ORDERS = """
SELECT o.*, m.name, m.spec::text AS spec, p.leverage AS leverage_in_force, p.leverage_set_at,
  (SELECT (s.outcome->>'fee')::int8 FROM liquidation_steps s
   WHERE s.action = 'LIQUIDATION' AND s.market_id = o.market_id AND s.user_id = o.user_id
     AND s.command_seq = seq_of_order_key(o.order_id)) AS liquidation_fee
FROM orders o JOIN markets m USING (market_id) LEFT JOIN positions p USING (user_id, market_id) WHERE """
_ID_BY_CLIENT_ID = """
SELECT m.name, o.order_id FROM orders o JOIN markets m USING (market_id) WHERE o.user_id = $1 AND o.client_order_id = $2
"""
_CHANGED = (
    ("o.is_live", "o.updated_at"),
    ("NOT o.is_live", "o.ended_at"),
    ("NOT o.is_live AND o.ended_at IS NULL", "o.updated_at"),
)
"""Which orders changed last at which time; each part has an index."""
_PLACED = Arrivals(
    "SELECT market_id, c.command_seq AS seq FROM positions p JOIN counters c USING (market_id) WHERE p.user_id = $1",
    "o.order_id > order_key({0}, {1}) AND o.order_id <= order_key({0}, {2})",
    record_key("created_at", "order_id"),
)


def _filtered(where: Conditions, user: int, request: ListRequest) -> Conditions:
    where.add("o.user_id = {}", user)
    where.add_period("o.created_at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    if request.statuses is not None:
        where.add("o.status = ANY({}::text[])", sorted(request.statuses))
        if all(status.is_open for status in request.statuses):
            where.add("(o.is_live OR o.is_waiting)")  # the few open ones have indexes
        elif not any(status.is_open for status in request.statuses):
            where.add("NOT o.is_live AND NOT o.is_waiting")
    return where


_BY_CREATION = TimedList(SELECT_ORDERS, _filtered, ("o.created_at", "o.order_id"), tuple[Moment, Int8], _PLACED)


async def list_orders(session: Session, user: int, request: ListRequest) -> Page[OrderView] | Refused:
    """A page of a user's orders by time of creation, or by last change with `updated_from`; filtered by market, status and period."""
    if request.updated_from is not None:
        return await _list_changed(session, user, request, request.updated_from)
    return await list_by_time(session, user, request, _BY_CREATION, order_view)


async def _list_changed(
    session: Session, user: int, request: ListRequest, since: Timestamp
) -> Page[OrderView] | Refused:
    """A page by last change: of the live orders, which are few, and of the ended ones, by an index of their end."""
    after = decode_cursor(request.cursor, tuple[Moment, Int8])
    if isinstance(after, Refused):
        return after
    where = _filtered(Conditions("true"), user, request)
    parts = []
    for kind, changed in _CHANGED:
        part = where.copy()
        part.add(f"{kind} AND {changed} >= {{}}", bounded_datetime(since))
        if after is not None:
            part.add_after((changed, "o.order_id"), (bounded_datetime(after[0]), after[1]), request)
        parts.append(f"({SELECT_ORDERS}{part}{in_order((changed, 'o.order_id'), request)})")
        arguments = part.arguments
    union = f"SELECT * FROM ({' UNION ALL '.join(parts)}) u{in_order(('updated_at', 'order_id'), request)}"  # noqa: S608 - ours
    rows = await session.fetch(union, *arguments)
    return page_of(rows, request.limit, record_key("updated_at", "order_id"), order_view)


async def read_order(session: Session, user: int, order_id: str) -> OrderView | None:
    """One order of a user by its public id; None for unknown ids and for orders of other users."""
    parsed = parse_public_order_id(order_id)
    if parsed is None:
        return None
    market, seq = parsed
    row = await session.fetchrow(
        f"{SELECT_ORDERS} m.name = $1 AND o.order_id = order_key(m.market_id, $2) AND o.user_id = $3",
        storable(market),
        seq,
        user,
    )
    return None if row is None else order_view(row)


async def read_order_by_client_id(session: Session, user: int, client_order_id: str) -> OrderView | None:
    """One order of a user by their own client order id; None when no order of theirs has it."""
    row = await session.fetchrow(
        f"{SELECT_ORDERS} o.user_id = $1 AND o.client_order_id = $2", user, storable(client_order_id)
    )
    return None if row is None else order_view(row)


async def read_order_id_by_client_id(session: Session, user: int, client_order_id: str) -> str | None:
    """The public id of a user's order by their own client order id; None when no order of theirs has it."""
    row = await session.fetchrow(_ID_BY_CLIENT_ID, user, storable(client_order_id))
    return None if row is None else public_id_of_order(row["name"], row["order_id"])


def order_view(row: Any) -> OrderView:
    """A row of `orders`, with its market's name and rules, as the API returns it."""
    spec, order_type = spec_of(row["spec"]), OrderType(row["type"])
    standing = row["filled_lots"] + row["remaining"]
    price, best_opposite = price_text(spec, row["price"]) if row["price"] else None, row["best_opposite"]
    return OrderView(
        order_id=public_id_of_order(row["name"], row["order_id"]),
        market_id=row["name"],
        side=Side(row["side"]),
        type=order_type,
        time_in_force=TimeInForce(row["time_in_force"]),
        quantity=quantity_text(spec, standing),
        cut_quantity=quantity_text(spec, row["quantity"] - standing),
        price=price if order_type.is_limit else None,
        protection_price=None if order_type.is_limit else price,
        max_slippage=None if row["max_slippage"] is None else format_ppm(row["max_slippage"]),
        remaining_quantity=quantity_text(spec, row["remaining"]),
        filled_quantity=quantity_text(spec, row["filled_lots"]),
        average_price=average_price_text(spec, row["filled_notional"], row["filled_lots"]),
        status=OrderStatus(row["status"]),
        reason=None if row["reason"] is None else EndReason(row["reason"]),
        best_opposite_price=None if best_opposite is None else price_text(spec, best_opposite),
        reduce_only=row["reduce_only"],
        post_only=row["post_only"],
        self_trade_prevention_mode=SelfTradePrevention(row["self_trade_prevention"]),
        leverage=spec.tiers[0].leverage_max if row["leverage_in_force"] is None else row["leverage_in_force"],
        leverage_since=time_text_or_none(row["leverage_set_at"]),
        submitted_leverage=row["leverage"],
        liquidation_fee=None if row["liquidation_fee"] is None else format_micros(row["liquidation_fee"]),
        client_order_id=row["client_order_id"],
        expires_at=time_text_or_none(row["expires_at"]),
        valid_until=time_text_or_none(row["valid_until"]),
        trigger_price=_price_or_none(spec, row["trigger_price"]),
        working_type=None if row["working_type"] is None else WorkingType(row["working_type"]),
        close_position=row["closes_position"],
        callback_rate=None if row["callback_rate"] is None else format_ppm(row["callback_rate"]),
        activation_price=_price_or_none(spec, row["activation_price"]),
        oco_group=row["oco_group"],
        parent_order_id=public_id_of_order_or_none(row["name"], row["parent_order_id"]),
        take_profit_order_id=public_id_of_order_or_none(row["name"], row["take_profit_order_id"]),
        stop_loss_order_id=public_id_of_order_or_none(row["name"], row["stop_loss_order_id"]),
        triggered_at=time_text_or_none(row["triggered_at"]),
        triggered_working_price=_price_or_none(spec, row["triggered_working_price"]),
        cancel_requested_at=time_text_or_none(row["cancel_requested_at"]),
        created_at=time_text(row["created_at"]),
        updated_at=time_text(row["updated_at"]),
    )


def _price_or_none(spec: MarketSpec, ticks: int | None) -> str | None:
    return None if ticks is None else price_text(spec, ticks)
