"""The triggers of `orders` that record a reduce-only order's excess and keep the sums over such orders, on plain rows."""

from exchange.risk.order_filters import reduce_only_excess
from schemas.orders import Side
from tests.simulation.tables import Row, Tables


def record_excess(tables: Tables, order: Row) -> None:
    """Before an order is inserted."""
    spec, loss, fee = tables.markets[order["market_id"]].spec, order["loss_per_lot"], order["fee_per_lot"]
    value = order["margin_price"] * spec.lot_value
    order["excess_per_lot"] = (
        reduce_only_excess(spec, Side(order["side"]), value, loss, fee) if order["reduce_only"] else 0
    )


def counted_lots(order: Row) -> int:
    """The lots that an order has in the sums: those that remain, and those that an amend under way adds."""
    return order["remaining"] + order["amend_lots"] if order["is_live"] else 0


def count_reduce_only(tables: Tables, order: Row, before: Row | None = None) -> None:
    """After an order was inserted, or changed; `before` is the row as it was."""
    if not order["reduce_only"]:
        return
    _count(tables, order, counted_lots(order))
    if before is not None:
        _count(tables, before, -counted_lots(before))


def _count(tables: Tables, order: Row, lots: int) -> None:
    position, side = tables.positions[order["user_id"], order["market_id"]], order["side"].lower()
    cost = order["loss_per_lot"] + order["fee_per_lot"]
    position[f"reduce_{side}_lots"] += lots
    position[f"reduce_{side}_notional"] += (
        lots * order["margin_price"] * tables.markets[order["market_id"]].spec.lot_value
    )
    position[f"reduce_{side}_cost"] += lots * cost
    position["reduce_loss"] += lots * order["loss_per_lot"]
    position["reduce_excess"] += lots * order["excess_per_lot"]
