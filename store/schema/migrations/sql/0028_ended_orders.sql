-- When an order ended and by which command: for lists by last change, and for its trace. Null of an order that is live, or that
-- ended before this was kept; such an order is found by `updated_at`. Both are written once, so updates of a live order stay HOT.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS ended_at timestamptz;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS ended_command_seq int8;
