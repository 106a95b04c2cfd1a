"""The stored fills of a market as in the public stream, with the same sequence, back to the first trade."""

from typing import Annotated, Any

from msgspec import Meta

from schemas.fills import PublicFill
from schemas.ids import public_event_id, public_id_of_order_or_none, public_trade_id
from schemas.market import MarketSpec
from schemas.orders import FillCause, Side
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.units import format_micros
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text
from store.queries.paging import ListRequest, decode_cursor, page_of
from store.session.connect import Session

# Both inner parts are index scans whatever the planner's statistics: the limit applies before the other side is looked up.
_FILLS = """
SELECT t.trade_id, t.event_seq, t.at, t.price, t.quantity, t.notional, t.side, t.cause, t.order_id AS taker_order,
  k.order_id AS maker_order, m.name, m.spec::text AS spec
FROM (
  SELECT * FROM fills
  WHERE market_id = (SELECT market_id FROM markets WHERE name = $1) AND trade_id >= $2::int8 AND role = 'TAKER'{which}
  ORDER BY trade_id LIMIT $3::int8
) t
JOIN markets m USING (market_id)
CROSS JOIN LATERAL (
  SELECT order_id FROM fills WHERE market_id = t.market_id AND trade_id = t.trade_id AND role = 'MAKER' LIMIT 1
) k
ORDER BY t.trade_id
"""
_READ = _FILLS.format(which="")
_READ_FORCED = _FILLS.format(which=" AND cause <> 'TRADE'")
_NEWEST = """
SELECT trade_id FROM fills WHERE market_id = (SELECT market_id FROM markets WHERE name = $1) ORDER BY trade_id DESC LIMIT 1
"""
_EXISTS = "SELECT true FROM markets WHERE name = $1"
_Sequence = Annotated[int, Meta(ge=0, le=2**62)]


async def replay_fills(session: Session, market: str, request: ListRequest) -> Page[PublicFill] | Refused | None:
    """A page of a market's fills from a sequence, oldest first; None where there is no such market."""
    after = decode_cursor(request.cursor, _Sequence)
    if isinstance(after, Refused):
        return after
    if not await session.fetchval(_EXISTS, storable(market)):
        return None
    first = request.from_sequence if after is None else after + 1
    fills = await read_public_fills(session, market, first, request.limit + 1)
    return page_of(fills, request.limit, lambda fill: fill.sequence, lambda fill: fill)


async def newest_public_fill(session: Session, market: str) -> int:
    """The sequence of a market's last persisted fill; 0 before the first."""
    return int(await session.fetchval(_NEWEST, storable(market)) or 0)


async def read_public_fills(session: Session, market: str, from_sequence: int, limit: int) -> list[PublicFill]:
    """At most `limit` fills of a market from a sequence, oldest first; none for an unknown market."""
    rows = await session.fetch(_READ, storable(market), from_sequence, limit)
    return [_fill(spec_of(row["spec"]), row) for row in rows]


async def read_forced_fills(session: Session, market: str, from_sequence: int, limit: int) -> list[PublicFill]:
    """As `read_public_fills`, only those that closed a position by force: liquidations, take-overs, deleveragings."""
    rows = await session.fetch(_READ_FORCED, storable(market), from_sequence, limit)
    return [_fill(spec_of(row["spec"]), row) for row in rows]


def _fill(spec: MarketSpec, row: Any) -> PublicFill:
    market = row["name"]
    return PublicFill(
        market_id=market,
        sequence=row["trade_id"],
        trade_id=public_trade_id(market, row["trade_id"]),
        event_id=public_event_id(market, row["event_seq"]),
        time=time_text(row["at"]),
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
        notional=format_micros(row["notional"]),
        taker_side=Side(row["side"]),
        maker_order_id=public_id_of_order_or_none(market, row["maker_order"]),
        taker_order_id=public_id_of_order_or_none(market, row["taker_order"]),
        cause=FillCause(row["cause"]),
    )
