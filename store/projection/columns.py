"""What the one writing statement of the projection is sent: for each kind of row a JSON array, a row in it an array again.

asyncpg takes several times as long to encode an array for every column. Integers are read with `->>`, as text, so that none
is ever a float.
"""

SCALARS = 6
"""Arguments before the rows: market, its new progress (event, command, hash, time), and the event before."""

_ROWS = {
    "orders": "order_id int8, status text, reason text, best_opposite int8, remaining int8, filled_lots int8,"
    " filled_notional int8, is_live bool, updated_at timestamptz, ended_event_seq int8",
    "fills": "trade_id int8, role text, event_seq int8, order_id int8, user_id int8, side text, price int8,"
    " quantity int8, notional int8, fee int8, realized int8, cause text, at timestamptz",
    "positions": "user_id int8, lots int8, cost int8, realized int8, opened_seq int8, buy_lots int8, sell_lots int8,"
    " buy_notional int8, sell_notional int8, open_loss int8, open_fees int8, live_orders int4",
    "wallets": "user_id int8, wallet int8",
    "entries": "account int8, type text, cause text, amount int8, balance_after int8, event_seq int8, trade_id int8,"
    " order_id int8, at timestamptz",
    "failures": "command_seq int8, event_seq int8, user_id int8, order_id int8, at timestamptz",
    "premiums": "event_seq int8, interval_end timestamptz, premium int8, index_price int8, at timestamptz",
    "fundings": "interval_end timestamptz, event_seq int8, rate int8, premium_sum int8, mark int8, index_price int8,"
    " residue int8, is_void bool, at timestamptz",
    "payments": "interval_end timestamptz, user_id int8, event_seq int8, lots int8, mark int8, rate int8, amount int8,"
    " at timestamptz",
    "settlements": "user_id int8, event_seq int8, lots int8, price int8, realized int8, at timestamptz",
    "steps": "liquidation_id int8, step int4, outcome text, event_seq int8, done_at timestamptz",
    "market": "status text, operator_status text, is_frozen bool, index_price int8, mark int8, mark_at timestamptz,"
    " price_sources text, price_quorum int4, funding_rate int8, predicted_funding_rate int8, next_funding_at timestamptz,"
    " forgets_prediction bool, rules int4",
    "records": "command_seq int8, after_seq int8, matched_at timestamptz",
}
COLUMNS = {
    kind: {name: type_ for name, _, type_ in (column.partition(" ") for column in columns.split(", "))}
    for kind, columns in _ROWS.items()
}
"""Columns with their types of each kind of row, in the order of the arguments."""


PLACES = {kind: place for place, kind in enumerate(COLUMNS, SCALARS)}
"""Where in the arguments each kind of row stands, from 0."""


def words() -> dict[str, str]:
    """What the names in the statement stand for: `{orders}` is the rows, `{orders_columns}` their names.

    `{failed_orders}` is the array of orders whose command failed.
    """
    named: dict[str, str] = {}
    for kind, columns in COLUMNS.items():
        values = [f"(r->>{n})::{type_} AS {name}" for n, (name, type_) in enumerate(columns.items())]
        elements = f"jsonb_array_elements(${PLACES[kind] + 1}::jsonb) WITH ORDINALITY AS e(r, place)"
        named[kind] = f"(SELECT {', '.join(values)}, place FROM {elements}) AS t"  # noqa: S608 - made of the names above
        named[f"{kind}_columns"] = ", ".join(columns)
    named["failed_orders"] = f"(SELECT array_agg(t.order_id) FROM {named['failures']})"  # noqa: S608 - likewise
    return named
