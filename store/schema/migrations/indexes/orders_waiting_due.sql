-- The waiting orders of a market, those that expire first: for the clock.
CREATE INDEX CONCURRENTLY orders_waiting_due ON orders (market_id, expires_at) WHERE is_waiting;
