-- The resting orders of a side in the order of the book. Nothing in it changes while an order lives, so that updates stay HOT.
CREATE INDEX CONCURRENTLY orders_book ON orders (market_id, side, price) WHERE is_live;
