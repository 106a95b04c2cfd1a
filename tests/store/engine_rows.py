"""The rows of a market compared with the engine that they came from."""

from schemas.orders import Side
from tests.store.projection_builders import Exchange


async def assert_rows_equal_the_engine(exchange: Exchange, name: str) -> None:
    """Same positions, same live orders with the same price, remaining lots and place in the queue, same place in the log."""
    market, market_id = exchange.markets[name], exchange.registry.by_name[name].market_id
    rows = await exchange.session.fetch(
        "SELECT user_id, lots, cost, realized, opened_seq FROM positions WHERE market_id = $1 AND lots <> 0", market_id
    )
    held = {user: (p.lots, p.cost, p.realized, p.opened_seq) for user, p in market.positions.items()}
    assert {row[0]: tuple(row)[1:] for row in rows} == held
    orders = await exchange.session.fetch(
        "SELECT seq_of_order_key(order_id), price, remaining FROM orders WHERE market_id = $1 AND is_live"
        " ORDER BY side, CASE side WHEN 'BUY' THEN -price ELSE price END,"
        " coalesce(moved_command_seq, seq_of_order_key(order_id)), moved_event_seq",
        market_id,
    )
    resting = [(o.order_seq, o.price, o.remaining) for side in Side for o in market.book.walk(side)]
    assert [tuple(row) for row in orders] == resting
    progress = await exchange.session.fetchrow(
        "SELECT event_seq, command_seq, event_hash FROM progress WHERE market_id = $1", market_id
    )
    assert tuple(progress) == (market.event_seq, market.command_seq, market.event_hash)
