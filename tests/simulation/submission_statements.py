"""The statements of a submission: locking and reading, and writing all that was decided."""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from schemas.ids import order_key
from schemas.units import timestamp_of
from schemas.wire import encode
from tests.simulation.reduce_only_triggers import count_reduce_only, record_excess
from tests.simulation.statement import Result
from tests.simulation.tables import EXPOSURE, REDUCING, WAITING, Row, Tables
from tests.simulation.waiting_triggers import count_waiting, waiting_of

_ORDER = (
    *("market_id", "number", "user_id", "side", "type", "time_in_force", "self_trade_prevention", "post_only"),
    *("reduce_only", "quantity", "price", "margin_price", "loss_per_lot", "fee_per_lot", "leverage"),
    *("client_order_id", "request_hash", "expires_at", "valid_until", "max_slippage"),
)
_CONDITIONAL = (
    *("oco_group", "take_profit", "stop_loss", "working_type", "trigger_price", "callback_rate", "activation_price"),
    *("closes_position", "parent_after"),
)
"""The columns that a row ends without where it has none of them."""
_LATER = (
    "triggered_at",
    "triggered_working_price",
    "triggered_event_seq",
    "triggered_command_seq",
    "activated_command_seq",
)

_AMEND = (
    *("order_id", "market_id", "number", "price", "added", "lots"),
    *("margin_price", "loss_per_lot", "fee_per_lot", "excess_per_lot"),
    *("old_margin_price", "old_loss_per_lot", "old_fee_per_lot", "old_excess_per_lot"),
    *("new_margin_price", "new_loss_per_lot", "new_fee_per_lot", "new_excess_per_lot"),
    *("trigger_price", "was_waiting"),
)
_AMENDED = (
    *(
        "user_id",
        "is_live",
        "is_waiting",
        "side",
        "type",
        "time_in_force",
        "self_trade_prevention",
        "post_only",
        "reduce_only",
    ),
    *("remaining", "filled_lots", "price", "margin_price", "loss_per_lot", "fee_per_lot", "excess_per_lot"),
    *("cancel_seq", "amend_seq", "amend_count"),
)
_CONDITION = ("status", "working_type", "trigger_price", "callback_rate", "activation_price", "closes_position")
TERMS = ("margin_price", "loss_per_lot", "fee_per_lot", "excess_per_lot")
"""What an order adds to the margin sums per lot."""

_LOCKED = (
    *("kind", "user_id", "market_id", "status", "mark", "is_frozen", "wallet", "liquidation_id"),
    *(
        "is_closing",
        "lots",
        "cost",
        "leverage",
        *EXPOSURE,
        "reduce_only",
        "waiting",
        "client_order_id",
        "order_id",
        "request_hash",
        "take_profit_order_id",
        "stop_loss_order_id",
        "is_open",
        "cancel_seq",
        "amended",
    ),
)
_READ: dict[str, Callable[[str], Any]] = {
    "request_hash": b64decode,
    "expires_at": datetime.fromisoformat,
    "valid_until": datetime.fromisoformat,
}
"""Of what JSON has no values for."""


def lock_accounts(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    """Markets, the accounts with their positions, the client ids and the orders that a batch names."""
    users, client_users, client_ids, orders, amended = arguments
    rows: list[Row] = [
        {
            "kind": "market",
            "market_id": m.market_id,
            "status": m.status,
            "mark": m.mark,
            "is_frozen": False,
            "lots": m.open_interest if m.spec.open_interest_max else None,
            "cost": m.spec_seq,
            "live_orders": m.rules,
        }
        for m in tables.markets.values()
    ]
    for user in users:
        if user in tables.wallets:
            account = {"kind": "account", "user_id": user, "wallet": tables.wallets[user], "is_closing": False}
            held = [tables.positions[key] for key in sorted(tables.positions) if key[0] == user]
            rows += [account | _with_sums(position) for position in held] or [account | {"market_id": None}]
    for key in sorted(zip(client_users or (), client_ids or (), strict=True)):
        if key in tables.client_ids:
            rows.append({"kind": "client_id", **tables.orders[tables.client_ids[key]]})
    for number in sorted(orders or ()):
        if number in tables.orders:
            order = tables.orders[number]
            rows.append({"kind": "cancel", **order, "is_open": order["is_live"] or order["is_waiting"]})
    for order in [tables.orders[key] for key in amended or () if key in tables.orders]:
        rows.append({"kind": "amended", **order, "amended": _amended(tables, order)})
    return Result([dict.fromkeys(_LOCKED) | row for row in rows])


def _with_sums(position: Row) -> Row:
    """The sums over reduce-only and waiting orders as a column each, in the order of their fields; the loss is not among them."""
    reducing = [position[name] for name in REDUCING if name != "reduce_loss"]
    return position | {"reduce_only": reducing, "waiting": [position[name] for name in WAITING]}


def submit(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    """Append the commands, insert orders and margin sums."""
    at, market_ids, payloads, order_rows, sums, *changes = arguments
    cancels, amends = changes[:3], msgspec.json.decode(changes[3]) if len(changes) > 3 else []
    markets = [tables.markets[market_id] for market_id in dict.fromkeys(market_ids)]
    bases = {market.market_id: market.counter for market in markets}
    orders = [_new_order(_named(row), bases) for row in msgspec.json.decode(order_rows)]
    _check_unique(tables, orders)

    def effect() -> None:
        for market_id, payload in zip(market_ids, payloads, strict=True):
            tables.add_command(tables.markets[market_id], timestamp_of(at), payload)
        for row in msgspec.json.decode(sums):
            _add_exposure(tables, dict(zip(("user_id", "market_id", "leverage", *EXPOSURE), row, strict=True)))
        for order in orders:
            record_excess(tables, order)
            tables.orders[order["order_id"]] = order
            count_reduce_only(tables, order)
            count_waiting(tables, order, Counter())
            if order["client_order_id"]:
                tables.client_ids[order["user_id"], order["client_order_id"]] = order["order_id"]
        for order_id, market_id, number in zip(*cancels, strict=True):
            tables.orders[order_id]["cancel_seq"] = bases[market_id] + number
        for row in amends:
            _amend(tables, dict(zip(_AMEND, row, strict=True)), bases)

    rows = [{"market_id": market_id, "base": base} for market_id, base in bases.items()]
    return Result(rows, effect, tuple(market.name for market in markets))


def _named(row: list[Any]) -> Row:
    return dict.fromkeys((*_CONDITIONAL, *_LATER)) | dict(zip((*_ORDER, *_CONDITIONAL), row, strict=False))


def _new_order(row: Row, bases: dict[int, int]) -> Row:
    waits, base = row["working_type"] is not None, bases[row["market_id"]]
    fresh = {"status": "PENDING", "is_live": not waits, "is_waiting": waits, "reason": None, "best_opposite": None}
    fresh |= {"cancel_seq": None, "closes_position": bool(row["closes_position"])}
    fresh |= {"amend_seq": None, "amend_lots": 0, "amend_count": 0}
    for name in ("take_profit", "stop_loss"):
        fresh[f"{name}_order_id"] = None if row[name] is None else order_key(row["market_id"], base + row[name])
    parent = row["parent_after"] and base + row["number"] + row["parent_after"]
    fresh["parent_order_id"] = parent and order_key(row["market_id"], parent)
    if row["parent_after"]:
        fresh["oco_group"] = f"order:{base + row['number'] + row['parent_after']}"
    order_id = order_key(row["market_id"], base + row["number"])
    sizes = {"remaining": row["quantity"], "filled_lots": 0, "filled_notional": 0}
    read = {name: _READ[name](row[name]) for name in _READ if row[name] is not None}
    return row | read | fresh | sizes | {"order_id": order_id}


def _amend(tables: Tables, row: Row, bases: dict[int, int]) -> None:
    """The order counts with the larger terms from now on; the amend is kept with its old and new ones."""
    order, seq = tables.orders[row["order_id"]], bases[row["market_id"]] + row["number"]
    before, waited = order.copy(), waiting_of(order)
    order |= {name: row[name] for name in TERMS}
    order |= {"amend_seq": seq, "amend_lots": row["lots"], "amend_count": order["amend_count"] + 1}
    count_reduce_only(tables, order, before)
    count_waiting(tables, order, waited)
    if (order["order_id"], seq) in tables.amends:
        raise asyncpg.UniqueViolationError("amends_pkey")
    tables.amends[order["order_id"], seq] = row | {"verdict": "PENDING"}


def _amended(tables: Tables, order: Row) -> str:
    """An order that the batch amends, as an array."""
    values = [order[name] for name in _AMENDED]
    values += [_leg_trigger(tables, order[name]) for name in ("take_profit_order_id", "stop_loss_order_id")]
    values += [*(order[name] for name in _CONDITION), _parent_price(tables, order), _bound(tables, order)]
    return encode(values).decode()


def _bound(tables: Tables, order: Row) -> list[tuple[int, int | None]]:
    """Its parent before any fill, or its legs that wait before its own: with the amend of each under way."""
    parent = tables.orders.get(order["parent_order_id"])
    found = [parent] if parent is not None and not parent["filled_lots"] else []
    if not order["filled_lots"]:
        legs = (tables.orders.get(order[name]) for name in ("take_profit_order_id", "stop_loss_order_id"))
        found += [leg for leg in legs if leg is not None and leg["is_waiting"]]
    return [(each["order_id"], each["amend_seq"]) for each in found]


def _leg_trigger(tables: Tables, key: int | None) -> int | None:
    leg = tables.orders.get(key) if key is not None else None
    return leg["trigger_price"] if leg is not None and leg["is_waiting"] else None


def _parent_price(tables: Tables, order: Row) -> int | None:
    """The price that a parent which has not filled is about; none of a market order."""
    parent = tables.orders.get(order["parent_order_id"])
    if parent is None or parent["filled_lots"]:
        return None
    has_limit = parent["type"] in {"LIMIT", "STOP", "TAKE_PROFIT"}
    price: int | None = parent["price"] if has_limit else parent["trigger_price"]
    return price


def _check_unique(tables: Tables, orders: list[Row]) -> None:
    keys = [(order["user_id"], order["client_order_id"]) for order in orders if order["client_order_id"]]
    if len(set(keys)) < len(keys) or any(key in tables.client_ids for key in keys):
        raise asyncpg.UniqueViolationError("orders_client_id")


def _add_exposure(tables: Tables, row: Row) -> None:
    held = tables.position_of(row["user_id"], row["market_id"])
    held["leverage"] = row["leverage"]
    for name in EXPOSURE:
        held[name] += row[name]
