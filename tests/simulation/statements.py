"""The statements of the store, carried out on plain rows: their reads, and their writes at the commit."""

from collections import Counter
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from schemas.market import MarketSpec
from schemas.units import timestamp_of
from schemas.wire import encode
from store.command_log import broker_identity, commands, outbox, snapshots
from store.markets import due_orders, halts, placement, progress, registry, rests
from store.money.ledger import House
from store.projection import columns
from store.projection import write as projecting
from store.projection.chain import Progress
from store.submission import pending_cancels, reading, writing
from tests.simulation.conditional_statements import CONDITIONAL_STATEMENTS
from tests.simulation.reduce_only_triggers import count_reduce_only, record_excess
from tests.simulation.statement import Result, Statement
from tests.simulation.submission_statements import TERMS, lock_accounts, submit
from tests.simulation.tables import EXPOSURE, MarketRow, Row, Tables
from tests.simulation.waiting_triggers import count_waiting, waiting_of


def _pending_cancels(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    held = Counter(o["user_id"] for o in tables.orders.values() if o["is_live"] and o["cancel_seq"] is not None)
    return Result([{"user_id": user, "cancels": held[user]} for user in arguments[0] if held[user]])


def _live_orders(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    live = [
        order
        for _, order in sorted(tables.orders.items())
        if (order["is_live"] or order["is_waiting"]) and order["user_id"] in arguments[0]
    ]
    return Result(live)


def _order_states(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    stored = [tables.orders[key] for key in arguments[0] if key in tables.orders]
    return Result([{name: order[name] for name in ("order_id", "status", "filled_lots")} for order in stored])


def _lock_events(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    markets, users, orders = arguments
    empty = {"market_id": None, "event_seq": None, "user_id": None}
    rows: list[Row] = [{"market_id": each} | tables.markets[each].progress._asdict() for each in markets]
    rows += [empty | {"user_id": user, "wallet": tables.wallets[user]} for user in users if user in tables.wallets]
    for number in orders:
        if number in tables.orders:
            order = tables.orders[number]
            kept = {k: v for k, v in order.items() if k not in ("user_id", "market_id")}
            named = {"order_user": order["user_id"], "is_conditional": order["working_type"] is not None}
            rows.append(empty | kept | named | _terms_of_amend(tables, order))
    return Result(rows)


def _terms_of_amend(tables: Tables, order: Row) -> Row:
    amend = tables.amends.get((order["order_id"], order["amend_seq"]))
    return {f"{age}_terms": amend and [amend[f"{age}_{name}"] for name in TERMS] for age in ("old", "new")}


def _project(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    sent: dict[str, list[Row]] = {kind: [] for kind in columns.COLUMNS}
    for kind, rows in msgspec.json.decode(arguments[0]).items():
        sent[kind] = [dict(zip(columns.COLUMNS[kind], row, strict=True)) for row in rows]
    plain, conditional = (
        [row for row in sent[kind] if row["order_id"] in tables.orders] for kind in ("orders", "conditionals")
    )
    orders = plain + conditional
    amends = [row for row in sent["amends"] if (row["order_id"], row["command_seq"]) in tables.amends]
    amended = {row["order_id"]: row for row in sent["amended"]}
    fills = {(row["market_id"], row["trade_id"], row["role"]): row for row in sent["fills"]}
    held = [
        row
        for row in sent["positions"]
        if row["user_id"] == House.INSURANCE or (row["user_id"], row["market_id"]) in tables.positions
    ]
    steps = [row for row in sent["steps"] if (row["liquidation_id"], row["step"]) in tables.steps]
    wallets = [row for row in sent["wallets"] if row["user_id"] in tables.wallets]
    if len(fills) < len(sent["fills"]) or fills.keys() & tables.fills.keys():
        raise asyncpg.UniqueViolationError("fills_pkey")
    moved = [row for row in sent["progress"] if tables.markets[row["market_id"]].progress.event_seq == row["before"]]

    def effect() -> None:
        for row in orders:
            _change_order(tables, tables.orders[row["order_id"]], row, amended.get(row["order_id"]))
        for row in amends:
            tables.amends[row["order_id"], row["command_seq"]] |= row
        for key, fill in fills.items():
            tables.fills[key] = tuple(value for name, value in fill.items() if name != "market_id")
        _set_countdowns(tables, sent["countdowns"])
        for row in held:
            _change_position(tables.position_of(row["user_id"], row["market_id"]), row)
        for row in steps:
            _complete_step(tables.steps[row["liquidation_id"], row["step"]], row)
        tables.wallets.update({row["user_id"]: row["wallet"] for row in wallets})
        tables.ledger.extend(sent["entries"])
        for row in sent["market"]:
            _change_market(tables.markets[row["market_id"]], row)
        for row in moved:
            market = tables.markets[row["market_id"]]
            market.progress = Progress(row["event_seq"], row["command_seq"], row["event_hash"])
            market.open_interest += row["open_interest"]

    counts = {
        "orders": plain,
        "conditionals": conditional,
        "amends": amends,
        "positions": held,
        "wallets": wallets,
        "steps": steps,
        "progress": moved,
    }
    return Result([tuple(len(rows) for kind, rows in counts.items() if sent[kind])], effect)


def _change_order(tables: Tables, stored: Row, row: Row, amended: Row | None) -> None:
    """Write an order, with what the triggers do; what is None stays as it is, where the statement says so."""
    before, waited, was_live = stored.copy(), waiting_of(stored), stored["is_live"]
    kept = ("price", "trigger_price", *(name for name in row if name.startswith("triggered_")))
    stored.update(row | {name: stored[name] for name in kept if row.get(name) is None})
    if amended is not None:
        stored |= {name: amended[name] for name in TERMS if name not in row} | {"amend_seq": None, "amend_lots": 0}
        stored["quantity"] += 0 if "quantity" in row else amended["added"]
    if stored["is_live"] and not was_live:
        record_excess(tables, stored)
    count_reduce_only(tables, stored, before)
    count_waiting(tables, stored, waited)


def _set_countdowns(tables: Tables, rows: list[Row]) -> None:
    for row in rows:
        key = (row["market_id"], row["user_id"])
        if row["deadline"] is None:
            tables.countdowns.pop(key, None)
        else:
            tables.countdowns[key] = row | {"deadline": datetime.fromisoformat(row["deadline"])}


def _change_position(position: Row, change: Row) -> None:
    for name in ("lots", "cost", "realized"):
        if change[name] is not None:
            position[name] = change[name]
    for name in EXPOSURE:
        position[name] += change[name]


def _complete_step(step: Row, change: Row) -> None:
    outcome = msgspec.json.decode(change["outcome"])
    outcome["transfers"] = [*step["outcome"].get("transfers", ()), *outcome.get("transfers", ())]
    step["outcome"] |= outcome
    step["is_done"] |= change["done_at"] is not None


def _force(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    """A command of the liquidator and the row of its receipt, in one transaction."""
    name, at, payload, key, kind, lots = arguments
    market = tables.named(name)

    def effect() -> None:
        tables.add_command(market, timestamp_of(at), payload)
        tables.steps[key] = {"kind": kind, "lots": lots, "outcome": {}, "is_done": False}

    return Result([(market.counter + 1,)], effect, (name,))


def _change_market(market: MarketRow, change: Row) -> None:
    for name in ("status", "index_price", "mark", "rules", "spec_seq"):
        if change[name] is not None:
            setattr(market, name, change[name])
    if change["spec"] is not None:
        market.spec = msgspec.json.decode(change["spec"], type=MarketSpec)


def _append(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    name, at, payload = arguments
    market = tables.named(name)
    effect = lambda: tables.add_command(market, timestamp_of(at), payload)  # noqa: E731 - one line of effect
    return Result([(market.counter + 1,)], lambda: effect() and None, (name,))


def _append_many(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    asked = [
        (place, tables.named(name), at, payload)
        for place, (name, at, payload, passed) in enumerate(zip(*arguments, strict=True), 1)
        if tables.named(name).halted_reason is None and tables.named(name).progress.command_seq >= passed
    ]
    rows = []
    for nth, (place, market, _, _) in enumerate(asked):
        before = sum(other is market for _, other, _, _ in asked[:nth])
        rows.append({"place": place, "command_seq": market.counter + before + 1})

    def effect() -> None:
        for _, market, at, payload in asked:
            tables.add_command(market, timestamp_of(at), payload)

    return Result(rows, effect, tuple({market.name: None for _, market, _, _ in asked}))


def _record_sent(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    sent = [(tables.markets[number], first, last) for number, first, last in zip(*arguments[:3], strict=True)]
    moved = [(market, last) for market, first, last in sent if market.cursor == first]

    def effect() -> None:
        for market, last in moved:
            market.cursor = last

    return Result([{"market_id": market.market_id} for market, _ in moved], effect if moved else None)


def _read_waiting(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    found = []
    for number in sorted(arguments[0]):
        market = tables.markets[number]
        seqs = [seq for seq in sorted(market.outbox) if seq > market.cursor][: arguments[1]]
        found += [(number, market.cursor, seq, market.outbox[seq][1]) for seq in seqs]
    return Result(found)


def _outbox_states(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    rows = []
    for number in arguments[0]:
        market = tables.markets[number]
        covered = max(_covered(market), default=0)
        rows.append((number, market.cursor, market.progress.command_seq, market.pruned, covered))
    return Result(rows)


def _move_cursor(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    if market.cursor != arguments[1]:
        return Result([])
    return Result([(True,)], lambda: setattr(market, "cursor", arguments[2]))


def _rewind(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.named(arguments[0])
    if market.pruned >= arguments[1]:
        return Result([])
    return Result([(True,)], lambda: setattr(market, "cursor", min(market.cursor, arguments[1] - 1)), (market.name,))


def _set_cursor(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    return Result([], lambda: setattr(tables.markets[arguments[0]], "cursor", arguments[1]))


def _read_commands(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    waiting = tables.markets[arguments[0]].outbox
    seqs = [seq for seq in sorted(waiting) if seq > arguments[1]][: arguments[2]]
    return Result([(seq, waiting[seq][1]) for seq in seqs])


def _covered(market: MarketRow) -> list[int]:
    """The snapshots at or before progress, oldest first."""
    return sorted(seq for seq, row in market.snapshots.items() if row[1] <= market.progress.event_seq)


def _prune(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    covered = _covered(market)
    high = min(market.pruned + arguments[1], covered[-1], market.cursor) if covered else market.pruned
    gone = [seq for seq in market.outbox if market.pruned < seq <= high]

    def effect() -> None:
        for seq in gone:
            market.outbox.pop(seq, None)
        market.pruned = max(market.pruned, high)

    return Result([(len(gone),)], effect if gone else None)


def _save_snapshot(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    kept = tables.markets[arguments[0]].snapshots
    return Result([], lambda: kept.setdefault(arguments[1], arguments[1:6]) and None)


def _newest_snapshot(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    return Result([market.snapshots[seq] for seq in reversed(_covered(market))])


def _forget_snapshots(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    covered = _covered(market)
    old = [seq for seq in market.snapshots if covered and seq < covered[-1]]

    def effect() -> None:
        for seq in old:
            market.snapshots.pop(seq, None)

    return Result([], effect if old else None)


def _forget_snapshots_ahead(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    ahead = [seq for seq in market.snapshots if seq not in _covered(market)]

    def effect() -> None:
        for seq in ahead:
            market.snapshots.pop(seq, None)

    return Result([], effect if ahead else None)


def _market_progress(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.named(arguments[0])
    progress = market.progress
    standing = (market.market_id, market.epoch, progress.event_seq, progress.command_seq, progress.event_hash)
    return Result([(*standing, market.halted_reason)])


def _progress_of(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    return Result([(name, *_market_progress(tables, (name,)).rows[0]) for name in arguments[0]])


def _first_unknown(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.markets[arguments[0]]
    for seq, payload in sorted(zip(*arguments[1:3], strict=True)):
        kept = market.outbox.get(seq)
        if seq > market.counter or (seq > market.pruned and (kept is None or kept[1] != payload)):
            return Result([(seq,)])
    return Result([])


def _halt(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.named(arguments[0])

    def effect() -> None:
        market.status, market.halted_reason = "HALTED", market.halted_reason or arguments[1]

    return Result([], effect)


def _registry(tables: Tables, _: tuple[Any, ...]) -> Result:
    markets = tables.markets.values()
    return Result(
        [
            {"market_id": m.market_id, "name": m.name, "spec": encode(m.spec).decode(), "spec_seq": m.spec_seq}
            for m in markets
        ]
    )


def _ticking(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    _, by, are_all_asked = arguments
    rows = []
    for market in tables.markets.values():
        live = [
            o
            for o in tables.orders.values()
            if (o["is_live"] or o["is_waiting"]) and o["market_id"] == market.market_id
        ]
        timed = [order["expires_at"] for order in live if order["expires_at"] is not None]
        timed += [row["deadline"] for (held, _), row in tables.countdowns.items() if held == market.market_id]
        near = [moment for moment in timed if moment <= by]
        is_held = any(row["lots"] for (_, held), row in tables.positions.items() if held == market.market_id)
        rows.append(
            {
                "name": market.name,
                "command_seq": market.progress.command_seq,
                "due_at": min(near, default=None),
                "rules": market.rules,
                "is_frozen": False,
                "index_price": market.index_price,
                "mark": market.mark,
                "tick_size_e18": market.spec.tick_size_e18,
                "is_in_use": bool(live) or is_held,
                "has_silent_source": False,
            }
        )
    return Result(
        [row for row in rows if tables.named(row["name"]).halted_reason is None and (are_all_asked or row["due_at"])]
    )


def _placement(tables: Tables, _: tuple[Any, ...]) -> Result:
    return Result([{"name": m.name, "shard": m.shard, "is_finished": False} for m in tables.markets.values()])


def _place(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    names, shard = arguments
    markets = [tables.named(name) for name in names]

    def effect() -> None:
        for market in markets:
            market.shard = shard

    return Result([{"name": market.name, "shard": shard} for market in markets], effect)


def _raise_epoch(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    market = tables.named(arguments[0])

    def effect() -> None:
        market.epoch, market.halted_reason = market.epoch + 1, None

    return Result([(market.epoch + 1,)], effect)


def _replace_cluster(tables: Tables, arguments: tuple[Any, ...]) -> Result:
    return Result([], lambda: setattr(tables, "cluster", arguments[0]))


FORCE = "the statements of store/liquidations/writing.py, as one"
RAISE_EPOCH = "UPDATE markets SET epoch = epoch + 1, halted_reason = NULL WHERE name = $1 RETURNING epoch"
STATEMENTS: dict[str, Statement] = {
    reading._LOCK_AND_READ: Statement("accounts locked", lock_accounts, locks=True),
    writing.WRITE: Statement("submission", submit, locks=True),
    writing.WRITE_WITH_AMENDS: Statement("submission", submit, locks=True),
    reading._READ_LIVE: Statement("live orders", _live_orders),
    reading._READ_STATES: Statement("states of orders", _order_states),
    pending_cancels._READ: Statement("pending cancels", _pending_cancels),
    projecting.LOCK: Statement("progress locked", _lock_events, locks=True),
    commands._APPEND: Statement("append", _append, locks=True),
    commands._APPEND_MANY: Statement("append many", _append_many, locks=True),
    FORCE: Statement("force", _force, locks=True),
    outbox._READ_WAITING: Statement("read outboxes", _read_waiting),
    outbox._SENT: Statement("sent", _record_sent),
    outbox._STATES: Statement("outbox states", _outbox_states),
    outbox._MOVE: Statement("correct cursor", _move_cursor),
    outbox._REWIND: Statement("rewind", _rewind),
    outbox._SET_CURSOR: Statement("set cursor", _set_cursor),
    outbox._READ: Statement("read outbox", _read_commands),
    outbox._PRUNE: Statement("prune", _prune),
    "SELECT command_seq FROM relay_cursors WHERE market_id = $1": Statement(
        "cursor", lambda tables, arguments: Result([(tables.markets[arguments[0]].cursor,)])
    ),
    "SELECT pruned_seq FROM relay_cursors WHERE market_id = $1": Statement(
        "pruned", lambda tables, arguments: Result([(tables.markets[arguments[0]].pruned,)])
    ),
    snapshots._SAVE: Statement("snapshot", _save_snapshot),
    snapshots._NEWEST: Statement("newest snapshot", _newest_snapshot),
    snapshots._FORGET: Statement("forget snapshots", _forget_snapshots),
    snapshots._FORGET_AHEAD: Statement("forget snapshots ahead", _forget_snapshots_ahead),
    progress._READ: Statement("standing", _market_progress),
    progress._READ_MANY: Statement("standings", _progress_of),
    placement._READ: Statement("placement", _placement),
    placement._PLACE: Statement("place", _place, locks=True),
    rests._NOTE: Statement("rests", lambda *_: Result([])),
    rests._END: Statement("rests end", lambda *_: Result([])),
    halts._UNKNOWN: Statement("unknown command", _first_unknown),
    halts._HALT: Statement("halt", _halt),
    "SELECT command_seq FROM failed_commands WHERE market_id = $1": Statement("failed", lambda *_: Result([])),
    registry._KNOWN: Statement("registry", _registry),
    due_orders._TICKING: Statement("ticking", _ticking),
    RAISE_EPOCH: Statement("epoch", _raise_epoch),
    broker_identity._REPLACE: Statement("cluster", _replace_cluster),
    "SELECT cluster_id FROM broker_identity": Statement(
        "owner", lambda tables, _: Result([(tables.cluster,)] if tables.cluster else [])
    ),
    **CONDITIONAL_STATEMENTS,
}
_PROJECTION = Statement("projection", _project, locks=True)


def statement_of(sql: str) -> Statement | None:
    """How a statement runs; None for one that is not known here. Those of the projection vary with the kinds of its rows."""
    return _PROJECTION if sql.startswith(projecting.MARK) else STATEMENTS.get(sql)
