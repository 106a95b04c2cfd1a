-- The triggered orders that wait for the activator: few.
CREATE INDEX CONCURRENTLY orders_triggered ON orders (order_id) WHERE is_waiting AND triggered_at IS NOT NULL AND NOT reduce_only;
