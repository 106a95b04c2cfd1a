-- The waiting orders of a user: few, and found by account as the live ones.
CREATE INDEX CONCURRENTLY orders_waiting ON orders (user_id, market_id) WHERE is_waiting;
