-- The place of a resting order in the queue at its price: the event since which it is there, the one that accepted it or the last one
-- that moved it. Null of an order that is not accepted yet, and of one that was accepted before this was kept: such orders were never
-- moved and come before all others, by their id.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS queue_seq int8;
