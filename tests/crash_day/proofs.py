"""What must be true at the end of the day, checked in the tables and in the event log."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import orjson

from schemas.events import OrderAccepted, OrderEnded, OrderShrunk, TradeExecuted
from schemas.ids import order_key
from schemas.units import E18
from schemas.wire import decode_event
from store.session.connect import Connection
from tests.crash_day.receipts import FUND, MICRO, Fill, Grid, Step
from tests.venue import Venue

# Equity at mark of every account with a position, the fund's left out.
_UNRESOLVED = """
SELECT a.user_id, a.wallet + sum(p.lots * m.mark * v.lot_value - p.cost) AS equity
FROM accounts a JOIN positions p USING (user_id) JOIN markets m USING (market_id) JOIN market_lot_values v USING (market_id)
WHERE p.lots <> 0 AND a.user_id > 0 GROUP BY a.user_id, a.wallet
HAVING a.wallet + sum(p.lots * m.mark * v.lot_value - p.cost) < 0
"""
_OWING = """
SELECT user_id, wallet FROM accounts a WHERE wallet < 0
  AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.user_id = a.user_id AND p.lots <> 0)
"""
_OF_LIQUIDATED = """
SELECT o.order_id, o.user_id FROM orders o JOIN accounts a USING (user_id)
WHERE o.is_live AND a.liquidation_id IS NOT NULL
"""
_REDUCING_NOTHING = """
SELECT o.user_id, o.market_id, o.side, sum(o.remaining) AS lots, coalesce(max(p.lots), 0) AS position
FROM orders o LEFT JOIN positions p USING (user_id, market_id) WHERE o.is_live AND o.reduce_only
GROUP BY o.user_id, o.market_id, o.side
HAVING sum(o.remaining) > greatest(0, CASE o.side WHEN 'SELL' THEN 1 ELSE -1 END * coalesce(max(p.lots), 0))
"""
_LIVE = "SELECT order_id, remaining FROM orders WHERE is_live"
_STEPS = """
SELECT s.liquidation_id, s.step, s.user_id, s.action, m.name, s.market_id, s.command_seq, s.inputs::text, s.outcome::text
FROM liquidation_steps s LEFT JOIN markets m USING (market_id) ORDER BY s.liquidation_id, s.step
"""
_FILLS = """
SELECT f.order_id, f.trade_id, f.user_id, f.role, f.side, f.price, f.quantity, f.notional, f.fee, f.realized, f.cause,
  f.event_seq, m.name, f.market_id
FROM fills f JOIN markets m USING (market_id) ORDER BY m.market_id, f.trade_id, f.role
"""
_FUND_LEDGER = "SELECT type, sum(amount)::int8 AS amount FROM ledger WHERE account = -3 GROUP BY type"


async def find_orphans(session: Connection, venue: Venue, markets: dict[int, str]) -> list[str]:
    """Orders that should not be there any more, and rows and books that do not agree."""
    found = [f"order of a liquidated account: {tuple(row)}" for row in await session.fetch(_OF_LIQUIDATED)]
    found += [f"reduces nothing: {tuple(row)}" for row in await session.fetch(_REDUCING_NOTHING)]
    rows = {row["order_id"]: row["remaining"] for row in await session.fetch(_LIVE)}
    books = {
        order_key(market_id, order): lots
        for market_id, name in markets.items()
        for order, lots in _resting(await venue.event_bodies(name)).items()
    }
    found += [f"row and book differ: {order}" for order in rows.keys() | books if rows.get(order) != books.get(order)]
    return found


async def find_unresolved(session: Connection) -> list[str]:
    """Accounts below zero: with a position at mark, or without one."""
    unresolved = [f"equity below zero: {tuple(row)}" for row in await session.fetch(_UNRESOLVED)]
    return unresolved + [f"wallet below zero: {tuple(row)}" for row in await session.fetch(_OWING)]


async def read_steps(session: Connection) -> list[Step]:
    """Every receipt with the fills of its order."""
    grids = await read_grids(session)
    fills: dict[int, list[Fill]] = defaultdict(list)
    for row in await session.fetch(_FILLS):
        sign = 1 if row["side"] == "BUY" else -1
        if row["order_id"] is not None:
            quantity, amount = row["quantity"] * grids[row["name"]].lot, Fraction(row["notional"], MICRO)
            fills[row["order_id"]].append(Fill(row["trade_id"], row["user_id"], sign * quantity, sign * amount))
    return [
        Step(
            row["liquidation_id"],
            row["step"],
            row["user_id"],
            row["action"],
            row["name"],
            orjson.loads(row["inputs"]),
            orjson.loads(row["outcome"]) if row["outcome"] else None,
            fills[order_key(row["market_id"], row["command_seq"])] if row["command_seq"] is not None else [],
        )
        for row in await session.fetch(_STEPS)
    ]


async def read_grids(session: Connection) -> dict[str, Grid]:
    """Tick and lot of every market."""
    rows = await session.fetch("SELECT name, spec::text FROM markets")
    specs: dict[str, Any] = {row["name"]: orjson.loads(row["spec"]) for row in rows}
    return {
        name: Grid(Fraction(spec["tickSizeE18"], E18), Fraction(spec["lotSizeE18"], E18))
        for name, spec in specs.items()
    }


async def fund_by_receipts(session: Connection, steps: Iterable[Step], at_start: int) -> int:
    """What the fund's wallet (micros) must be: what it started with, fees and transfers of the receipts, sales at average
    cost, funding; its ledger is not asked."""
    wallet = at_start
    for step in steps:
        if step.action == "LIQUIDATION" and step.outcome is not None:
            wallet += step.outcome["fee"]
        if step.action == "FUND_CREDIT":
            wallet += int(Fraction(step.inputs["wallet"]) * MICRO)
    wallet += await session.fetchval("SELECT coalesce(sum(residue), 0)::int8 FROM fundings")
    wallet += await session.fetchval(
        "SELECT coalesce(sum(amount), 0)::int8 FROM funding_payments WHERE user_id = $1", FUND
    )
    held: dict[int, tuple[int, int]] = {}
    for row in await session.fetch(_FILLS):
        if row["user_id"] == FUND:
            sign = 1 if row["side"] == "BUY" else -1
            position = held.get(row["market_id"], (0, 0))
            position, realized = _filled(position, sign * row["quantity"], sign * row["notional"])
            held[row["market_id"]] = position
            wallet += realized - row["fee"]
    return wallet


async def digest(session: Connection, venue: Venue, markets: dict[int, str]) -> str:
    """One hash of everything that must be the same in another playing: receipts, fills, the fund, every event."""
    hashed = hashlib.sha256()
    names = {name.encode(): f"market {place}".encode() for place, name in enumerate(markets.values())}
    for query in (_STEPS, _FILLS, _FUND_LEDGER + " ORDER BY type"):
        for row in await session.fetch(query):
            hashed.update(_anonymous(repr(tuple(row)).encode(), names))
    for name in markets.values():
        for body in await venue.event_bodies(name):
            hashed.update(_anonymous(body, names))
    return hashed.hexdigest()


def _anonymous(text: bytes, names: dict[bytes, bytes]) -> bytes:
    for name, alias in names.items():
        text = text.replace(name, alias)
    return text


def _resting(bodies: Iterable[bytes]) -> dict[int, int]:
    """Lots that every order still has, by its number, from the log alone."""
    left: dict[int, int] = {}
    for body in bodies:
        match decode_event(body):
            case OrderAccepted(order=order, quantity=quantity):
                left[order] = quantity
            case TradeExecuted(maker=maker, taker=taker):
                left[maker.order], left[taker.order] = maker.remaining, taker.remaining
            case OrderShrunk(order=order, remaining=remaining):
                left[order] = remaining
            case OrderEnded(order=order):
                left[order] = 0
            case _:
                pass
    return {order: lots for order, lots in left.items() if lots}


def _filled(position: tuple[int, int], lots: int, notional: int) -> tuple[tuple[int, int], int]:
    """A fill at average cost: what opens adds its notional, what reduces releases cost in proportion, towards zero."""
    held, cost = position
    closing = min(abs(lots), abs(held)) if held * lots < 0 else 0
    if not closing:
        return (held + lots, cost + notional), 0
    part = int(Fraction(notional * closing, abs(lots)))  # towards zero; the rest of a crossing fill opens
    released = int(Fraction(cost * closing, abs(held)))
    realized = -part - released
    return (held + lots, cost - released + notional - part), realized
