"""What must hold when everything is quiet: the rows are exactly those of one undisturbed market."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from exchange.engine.log.journal import answer_command
from exchange.engine.log.snapshot_format import dump, state_hash
from exchange.engine.market import Market, empty_market
from schemas.events import PositionTransferred, TradeExecuted
from schemas.ids import order_key, parse_public_order_id, public_command_id
from schemas.orders import EndReason, Side
from schemas.units import SECOND_US, timestamp_of
from schemas.wire import decode_command, decode_event
from store.money.ledger import House
from store.projection.chain import Progress
from tests.exchange.invariants import check_book, check_reduce_only
from tests.simulation.conditional_statements import activated_twice
from tests.simulation.reduce_only_triggers import counted_lots
from tests.simulation.system import System
from tests.simulation.tables import DELEVERAGING, EXPOSURE, REDUCING, WAITING, MarketRow, Row, Tables
from tests.simulation.traders import Traders
from tests.simulation.waiting_triggers import waiting_of
from tests.simulation.watch import Watch

ENDED_BY_TIMERS = "orders ended by timers"
OVERDUE_US = 5 * SECOND_US


def differences(system: System, watch: Watch, traders: Traders) -> Iterator[str]:
    """All that is wrong at the end; nothing when all is well."""
    tables = system.database.tables
    for market in tables.markets.values():
        yield from _market_differences(tables, market, watch)
        yield from _outbox_differences(market)
    yield from _money_differences(tables)
    yield from _margin_differences(tables)
    yield from _step_differences(tables)
    yield from _amend_differences(tables, traders)
    yield from activated_twice(tables)
    for order_id in traders.placed:
        name, seq = parse_public_order_id(order_id) or ("", 0)
        if order_key(tables.named(name).market_id, seq) not in tables.orders:
            yield f"order {order_id} was promised and is not there"
    yield from _survivors(tables, traders)
    yield from _overdue(system)


def _survivors(tables: Tables, traders: Traders) -> Iterator[str]:
    """Orders that were accepted before a cancel-all and are live all the same."""
    for asked in traders.all_cancelled:
        market_id = tables.named(asked.market).market_id
        for order_id, order in tables.orders.items():
            is_meant = (order["user_id"], order["market_id"]) == (asked.user, market_id)
            is_meant &= asked.side in (None, order["side"])
            if (
                is_meant
                and (order["is_live"] or order["is_waiting"])
                and order_id < order_key(market_id, asked.command_seq)
            ):
                yield f"order {order_id} has survived {asked}"


def _overdue(system: System) -> Iterator[str]:
    """Timers that ended a while ago and have not fired: the clock has ticked their markets since."""
    now = system.world.now()
    for (market_id, user), row in system.database.tables.countdowns.items():
        if timestamp_of(row["deadline"]) < now - OVERDUE_US:
            yield f"the countdown of {user} in market {market_id} ended at {row['deadline']} and has not fired"


def _market_differences(tables: Tables, row: MarketRow, watch: Watch) -> Iterator[str]:
    """An undisturbed market reads the commands as they were accepted."""
    market = empty_market(row.name)
    written = [
        line for seq, body in enumerate(row.history, 1) for line in answer_command(market, seq, decode_command(body))
    ]
    if row.progress != Progress(market.event_seq, market.command_seq, market.event_hash):
        yield f"{row.name}: progress {row.progress}, expected {market.event_seq} {market.command_seq}"
    if watch.events[row.name] != {line.seq: line.body for line in written}:
        yield f"{row.name}: other events were written than the commands give"
    events = [decode_event(line.body) for line in written]
    check_book(market)
    check_reduce_only(market)
    if (book := {side: dict(market.book.depth(side)) for side in Side}) != watch.books.levels(row.name):
        yield f"{row.name}: a reader of the log has the levels {watch.books.levels(row.name)}, the book is {book}"
    yield from _position_differences(tables, row, market)
    yield from _countdown_differences(tables, row, market)
    yield from _order_differences(tables, row, market)
    yield from _fill_differences(
        tables, row, [event for event in events if isinstance(event, TradeExecuted | PositionTransferred)]
    )


def _position_differences(tables: Tables, row: MarketRow, market: Market) -> Iterator[str]:
    held = {user: (p.lots, p.cost, p.realized) for user, p in market.positions.items()}
    stored = {
        user: (p["lots"], p["cost"], p["realized"])
        for (user, market_id), p in tables.positions.items()
        if market_id == row.market_id and p["lots"]
    }
    if stored != held:
        yield f"{row.name}: positions {stored}, expected {held}"
    if sum(lots for lots, _, _ in stored.values()):
        yield f"{row.name}: sizes do not sum to zero"
    if (row.status, row.index_price, row.mark) != (market.status, market.index, market.mark):
        yield f"{row.name}: status, index and mark differ"
    if row.spec != market.spec:
        yield f"{row.name}: the specification is {row.spec}, expected {market.spec}"
    if row.open_interest != sum(max(0, lots) for lots, _, _ in held.values()):
        yield f"{row.name}: open interest {row.open_interest}"


def _countdown_differences(tables: Tables, row: MarketRow, market: Market) -> Iterator[str]:
    running = {user: (each.deadline, each.scope) for user, each in market.countdowns.by_user.items()}
    stored = {
        user: (timestamp_of(each["deadline"]), each["scope"])
        for (market_id, user), each in tables.countdowns.items()
        if market_id == row.market_id
    }
    if stored != running:
        yield f"{row.name}: countdowns {stored}, expected {running}"


def _order_differences(tables: Tables, row: MarketRow, market: Market) -> Iterator[str]:
    """What rests in the book is live, at its price and with as many lots; everything else has ended."""
    resting = {
        order_key(row.market_id, o.order_seq): (o.price, o.remaining) for side in Side for o in market.book.walk(side)
    }
    orders = [order for order in tables.orders.values() if order["market_id"] == row.market_id]
    live = {order["order_id"]: (order["price"], order["remaining"]) for order in orders if order["is_live"]}
    if live != resting:
        yield f"{row.name}: live orders {live}, the book has {resting}"
    waiting = {
        order_key(row.market_id, o.order_seq): (o.remaining, None if o.is_trailing else o.trigger)
        for o in market.waiting.orders.values()
    }
    stored = {
        order["order_id"]: (order["remaining"], order["trigger_price"]) for order in orders if order["is_waiting"]
    }
    if stored != waiting:
        yield f"{row.name}: waiting orders {stored}, the market has {waiting}"
    for order in orders:
        is_empty = order["remaining"] == 0 and not (order["closes_position"] and order["status"] != "FILLED")
        if order["status"] == "PENDING" or (order["status"] == "FILLED") != is_empty:
            yield f"order {order['order_id']} is {order['status']} with {order['remaining']} left"


def _amend_differences(tables: Tables, traders: Traders) -> Iterator[str]:
    """Every amend that was promised is there and has its verdict; no order counts as amended once all have theirs."""
    kept = {public_command_id(tables.markets[key >> 40].name, seq) for key, seq in tables.amends}
    for command_id in traders.amended - kept:
        yield f"amend {command_id} was promised and is not there"
    for (key, seq), amend in tables.amends.items():
        if amend["verdict"] == "PENDING":
            yield f"amend {seq} of order {key} has no verdict"
    for key, order in tables.orders.items():
        if order["amend_seq"] is not None or order["amend_lots"]:
            yield f"order {key} counts as if it were amended still"


def _fill_differences(
    tables: Tables, row: MarketRow, trades: list[TradeExecuted | PositionTransferred]
) -> Iterator[str]:
    filled: dict[int, int] = defaultdict(int)
    expected = set()
    for trade in trades:
        expected |= {(row.market_id, trade.trade, role) for role in ("MAKER", "TAKER")}
        for side in (trade.maker, trade.taker) if isinstance(trade, TradeExecuted) else ():
            filled[order_key(row.market_id, side.order)] += trade.quantity
    if {key for key in tables.fills if key[0] == row.market_id} != expected:
        yield f"{row.name}: fills are missing or too many"
    for order in tables.orders.values():
        if order["market_id"] == row.market_id and order["filled_lots"] != filled[order["order_id"]]:
            yield f"order {order['order_id']} has {order['filled_lots']} lots, its fills {filled[order['order_id']]}"


def _outbox_differences(row: MarketRow) -> Iterator[str]:
    if sorted(row.outbox) != list(range(row.pruned + 1, row.counter + 1)):
        yield f"{row.name}: the outbox has holes"
    if any(payload != row.history[seq - 1] for seq, (_, payload) in row.outbox.items()):
        yield f"{row.name}: the outbox has changed"


def _money_differences(tables: Tables) -> Iterator[str]:
    """Double entry, and conservation (docs/semantics.md, "Ledger and conservation")."""
    totals: dict[int, int] = defaultdict(int)
    transactions: dict[tuple[object, object], int] = defaultdict(int)
    for entry in tables.ledger:
        totals[entry["account"]] += entry["amount"]
        transactions[entry["market_id"], entry["event_seq"]] += entry["amount"]
    if any(transactions.values()):
        yield "a ledger transaction does not sum to zero"
    if {user: totals[user] for user in tables.wallets} != tables.wallets:
        yield "a wallet is not the sum of its ledger entries"
    costs = sum(position["cost"] for position in tables.positions.values())
    if totals[House.CLEARING] != -costs:
        yield f"clearing {totals[House.CLEARING]}, costs {costs}"
    if sum(tables.wallets.values()) + totals[House.FEES] + totals[House.INSURANCE] - costs != -totals[House.EXTERNAL]:
        yield "money was made or lost"


def _step_differences(tables: Tables) -> Iterator[str]:
    """Every forced action has ended: with the lots that were ordered, or stale with none; a deleveraging maybe with fewer."""
    for (case, step), row in tables.steps.items():
        outcome, wanted = row["outcome"], row["lots"]
        if not row["is_done"]:
            yield f"forced action {case}/{step} has no end"
        elif sum(each["quantity"] for each in outcome["transfers"]) != outcome["quantity"]:
            yield f"forced action {case}/{step}: {outcome}"
        elif outcome["quantity"] > wanted or (outcome["quantity"] < wanted and not _may_be_less(row)):
            yield f"forced action {case}/{step} of {wanted} lots: {outcome}"


def _may_be_less(step: Row) -> bool:
    """A counterparty's position may have shrunk since it was chosen."""
    return bool(step["outcome"]["isStale"]) or step["kind"] == DELEVERAGING


def forced_actions(tables: Tables) -> Counter[str]:
    """The forced actions that took effect, by kind, for the summary."""
    return Counter(step["kind"] for step in tables.steps.values() if step["outcome"].get("quantity"))


def ended_by_timers(tables: Tables) -> Counter[str]:
    """The orders that a dead-man's switch has ended, for the summary."""
    reasons = Counter(order["reason"] for order in tables.orders.values())
    return Counter({ENDED_BY_TIMERS: reasons[EndReason.DEAD_MAN]})


def _margin_differences(tables: Tables) -> Iterator[str]:
    sums: dict[tuple[int, int], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys((*EXPOSURE, *REDUCING, *WAITING), 0)
    )
    for order in tables.orders.values():
        for name, added in waiting_of(order).items():
            sums[order["user_id"], order["market_id"]][name] += added
        if order["is_live"]:
            side, lots = ("buy" if order["side"] == Side.BUY else "sell"), counted_lots(order)
            held = sums[order["user_id"], order["market_id"]]
            lot_value = tables.markets[order["market_id"]].spec.lot_value
            held[f"{side}_lots"] += lots
            held[f"{side}_notional"] += lots * order["margin_price"] * lot_value
            held["open_loss"] += lots * order["loss_per_lot"]
            held["open_fees"] += lots * order["fee_per_lot"]
            held["live_orders"] += 1
            if order["reduce_only"]:
                held[f"reduce_{side}_lots"] += lots
                held[f"reduce_{side}_notional"] += lots * order["margin_price"] * lot_value
                held[f"reduce_{side}_cost"] += lots * (order["loss_per_lot"] + order["fee_per_lot"])
                held["reduce_loss"] += lots * order["loss_per_lot"]
                held["reduce_excess"] += lots * order["excess_per_lot"]
    for key, position in tables.positions.items():
        stored = {name: position[name] for name in (*EXPOSURE, *REDUCING, *WAITING)}
        if stored != sums[key]:
            yield f"margin sums of user {key[0]} in market {key[1]}: {stored}, live orders {sums[key]}"


def final_state(row: MarketRow) -> str:
    """The hash of the state that a market must have."""
    market = empty_market(row.name)
    for seq, body in enumerate(row.history, 1):
        answer_command(market, seq, decode_command(body))
    return state_hash(dump(market))
