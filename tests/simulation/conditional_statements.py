"""The statements about conditional orders: what their admission reads, and the steps of the activator."""

from collections import Counter
from typing import Any

from schemas.commands import ActivateOrder
from schemas.units import timestamp_of
from schemas.wire import decode_command, encode
from store.activation import activation
from store.submission import conditional_reading
from tests.simulation.statement import Result, Statement
from tests.simulation.tables import EXPOSURE, Row, Tables
from tests.simulation.waiting_triggers import count_waiting, waiting_of


def _surroundings(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    rows = []
    for market in tables.markets.values():
        if market.name in arguments[0]:
            trades = [key for key, fill in tables.fills.items() if key[0] == market.market_id and fill[3] is not None]
            last = tables.fills[max(trades)][6] if trades else None
            row = {"name": market.name, "index_price": market.index_price}
            rows.append(row | {"spec": encode(market.spec).decode(), "last_price": last})
    return Result(rows)


def _groups(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    members = Counter(
        (order["user_id"], tables.markets[order["market_id"]].name, order["oco_group"])
        for order in tables.orders.values()
        if order["user_id"] in arguments[0] and order["oco_group"] and (order["is_live"] or order["is_waiting"])
    )
    return Result(
        [
            {"user_id": user, "name": market, "oco_group": group, "orders": count}
            for (user, market, group), count in members.items()
        ]
    )


def waits_for_margin(order: Row) -> bool:
    """Whether the activator has to decide about an order."""
    waits = order["is_waiting"] and not order["reduce_only"]
    return bool(waits and order["triggered_at"] is not None and order["cancel_seq"] is None)


def _triggered(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    found = [order for order in tables.orders.values() if waits_for_margin(order)]
    found.sort(key=lambda order: (order["market_id"], order["triggered_event_seq"], order["order_id"]))
    return Result([{name: order[name] for name in ("order_id", "user_id")} for order in found[: arguments[0]]])


def _order(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    order = tables.orders.get(arguments[0])
    if order is None or not waits_for_margin(order):
        return Result([])
    return Result([order | {"name": tables.markets[order["market_id"]].name}])


def _activate(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    order_id, market_id, at, payload, user, *terms = arguments
    market, order = tables.markets[market_id], tables.orders[order_id]
    names = ("buy_notional", "sell_notional", "open_loss", "open_fees", "buy_lots", "sell_lots")

    def effect() -> None:
        before = waiting_of(order)
        order.update(zip(("margin_price", "loss_per_lot", "fee_per_lot"), terms, strict=False))
        order["activated_command_seq"] = tables.add_command(market, timestamp_of(at), payload)
        order["is_waiting"], order["is_live"] = False, True
        count_waiting(tables, order, before)
        held = tables.position_of(user, market_id)
        for name, added in zip(names, terms[3:], strict=True):
            held[name] += added
        held["live_orders"] += 1

    assert set(names) | {"live_orders"} == set(EXPOSURE)
    return Result([], effect, (market.name,))


def _cancel(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    order_id, market_id, at, payload = arguments
    market = tables.markets[market_id]

    def effect() -> None:
        tables.orders[order_id]["cancel_seq"] = tables.add_command(market, timestamp_of(at), payload)

    return Result([], effect, (market.name,))


CONDITIONAL_STATEMENTS: dict[str, Statement] = {
    conditional_reading._MARKETS: Statement("surroundings", _surroundings),
    conditional_reading._GROUPS: Statement("oco groups", _groups),
    activation._TRIGGERED: Statement("triggered orders", _triggered),
    activation._ORDER: Statement("triggered order", _order),
    activation._ACTIVATE: Statement("activation", _activate, locks=True),
    activation._CANCEL: Statement("activation refused", _cancel, locks=True),
}


def activated_twice(tables: Tables) -> list[str]:
    """The orders for which a market's log has more than one activation, or one beside a cancel of the activator."""
    activations: Counter[tuple[str, int]] = Counter()
    for market in tables.markets.values():
        for body in market.history:
            if body.startswith(b'{"type":"conditional.activated"'):
                activations[market.name, _order_in(body)] += 1
    return [
        f"order {number} of {market} was activated {n} times" for (market, number), n in activations.items() if n > 1
    ]


def _order_in(body: bytes) -> int:
    command = decode_command(body)
    assert isinstance(command, ActivateOrder)
    return command.order
