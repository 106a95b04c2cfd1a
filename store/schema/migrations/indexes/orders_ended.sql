-- The ended orders of a user by their last change. `ended_at` is written once, with `is_live`.
CREATE INDEX CONCURRENTLY orders_ended ON orders (user_id, ended_at, order_id) WHERE NOT is_live;
