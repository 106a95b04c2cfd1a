-- Where a resting order that was moved is in the queue at its price: the event that last put it at the end there, and its command.
-- Null of an order that was never moved: it is in the queue by its own command.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS moved_event_seq int8;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS moved_command_seq int8;
