"""The triggers of `orders` that keep the sums of what waits, on plain rows."""

from collections import Counter

from tests.simulation.tables import Row, Tables


def waiting_of(order: Row) -> Counter[str]:
    """What an order adds to the sums of its account in its market."""
    if not order["is_waiting"]:
        return Counter()
    side = order["side"].lower()
    counted = Counter({"waiting_orders": 1})
    if order["closes_position"]:
        counted[f"closing_{side}s"] = 1
    elif order["reduce_only"]:
        counted[f"waiting_{side}_lots"] = order["remaining"] + order["amend_lots"]
    return counted


def count_waiting(tables: Tables, order: Row, before: Counter[str]) -> None:
    """After an order was inserted, or changed; `before` is what it had added."""
    after = waiting_of(order)
    if after != before:
        position = tables.positions[order["user_id"], order["market_id"]]
        for name in after.keys() | before.keys():
            position[name] += after[name] - before[name]
