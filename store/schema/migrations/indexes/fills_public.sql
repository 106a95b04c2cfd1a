-- One row a trade of the book: a take-over and a deleveraging have no order, and are no trades of the market.
CREATE INDEX CONCURRENTLY fills_public ON fills (market_id, at, trade_id) WHERE role = 'TAKER' AND order_id IS NOT NULL;
