-- Conditional orders (docs/semantics.md, "Conditional orders"): an order is live, or it waits for its condition or for its margin, or it
-- has ended. A waiting order is in no margin sum of before. What waits has sums of its own, kept by triggers (0039), so they are exact
-- for every writer of orders, and no role may write them.

ALTER TABLE orders
  ADD COLUMN IF NOT EXISTS is_waiting boolean NOT NULL DEFAULT false,
  ADD COLUMN IF NOT EXISTS working_type text,
  ADD COLUMN IF NOT EXISTS trigger_price int8,
  ADD COLUMN IF NOT EXISTS callback_rate int4,
  ADD COLUMN IF NOT EXISTS activation_price int8,
  ADD COLUMN IF NOT EXISTS closes_position boolean NOT NULL DEFAULT false,
  ADD COLUMN IF NOT EXISTS oco_group text COLLATE "C",
  ADD COLUMN IF NOT EXISTS parent_order_id int8,
  ADD COLUMN IF NOT EXISTS take_profit_order_id int8,
  ADD COLUMN IF NOT EXISTS stop_loss_order_id int8,
  ADD COLUMN IF NOT EXISTS triggered_at timestamptz,
  ADD COLUMN IF NOT EXISTS triggered_working_price int8,
  ADD COLUMN IF NOT EXISTS triggered_event_seq int8,
  ADD COLUMN IF NOT EXISTS triggered_command_seq int8,
  ADD COLUMN IF NOT EXISTS activated_command_seq int8;
COMMENT ON COLUMN orders.is_waiting IS 'From acceptance until the order ends or becomes live: it waits for its condition, or for its margin.';
COMMENT ON COLUMN orders.working_type IS 'Of a conditional order, the price that its condition is about; null of any other order.';
COMMENT ON COLUMN orders.parent_order_id IS 'Of an attached take-profit or stop-loss, the order that it belongs to; that one names both.';
COMMENT ON COLUMN orders.triggered_working_price IS 'The working price (ticks) by which its condition came to hold.';
COMMENT ON COLUMN orders.activated_command_seq IS 'The command that lets the triggered order, whose margin is reserved, enter the book.';

ALTER TABLE positions
  ADD COLUMN IF NOT EXISTS waiting_buy_lots int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS waiting_sell_lots int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS closing_buys int4 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS closing_sells int4 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS waiting_orders int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN positions.waiting_buy_lots IS 'The lots of waiting reduce-only buys of a fixed quantity; closing_buys counts those that close the position.';

-- A reduce-only order that becomes live has its margin terms from then on.
CREATE OR REPLACE TRIGGER orders_excess_when_live BEFORE UPDATE OF is_live ON orders
  FOR EACH ROW WHEN (NEW.reduce_only AND NEW.is_live AND NOT OLD.is_live) EXECUTE FUNCTION orders_record_excess();

-- The activator waits on this channel for orders whose margin it reserves; the payload is the order's key.
CREATE OR REPLACE FUNCTION orders_announce_triggered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('triggered', NEW.order_id::text);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER orders_triggered AFTER UPDATE OF triggered_at ON orders
  FOR EACH ROW WHEN (OLD.triggered_at IS NULL AND NEW.triggered_at IS NOT NULL AND NEW.is_waiting AND NOT NEW.reduce_only)
  EXECUTE FUNCTION orders_announce_triggered();

-- As lock_events of 0030, which the previous release calls, with what the projection needs of a conditional order. For
-- lock_rows_of_events of 0038.
CREATE OR REPLACE FUNCTION lock_event_rows(in_markets int4[], in_users int8[], in_orders int8[])
RETURNS TABLE (
  market_id int4, event_seq int8, command_seq int8, event_hash text,
  user_id int8, wallet int8,
  order_id int8, order_user int8, status text, side text, remaining int8, margin_price int8, loss_per_lot int8,
  fee_per_lot int8, filled_lots int8, filled_notional int8, reason text, best_opposite int8,
  is_live boolean, is_waiting boolean, is_conditional boolean, quantity int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT p.market_id, p.event_seq, p.command_seq, p.event_hash, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
      NULL::text, NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text,
      NULL::int8, NULL::boolean, NULL::boolean, NULL::boolean, NULL::int8
    FROM progress p WHERE p.market_id = ANY(in_markets) ORDER BY p.market_id FOR NO KEY UPDATE;
  IF in_users <> '{}' THEN
    RETURN QUERY SELECT NULL::int4, NULL::int8, NULL::int8, NULL::text, a.user_id, a.wallet, NULL::int8, NULL::int8, NULL::text,
        NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text, NULL::int8,
        NULL::boolean, NULL::boolean, NULL::boolean, NULL::int8
      FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  END IF;
  IF in_orders <> '{}' THEN
    RETURN QUERY SELECT NULL::int4, NULL::int8, NULL::int8, NULL::text, NULL::int8, NULL::int8, o.order_id, o.user_id, o.status,
        o.side, o.remaining, o.margin_price, o.loss_per_lot, o.fee_per_lot, o.filled_lots, o.filled_notional, o.reason,
        o.best_opposite, o.is_live, o.is_waiting, o.working_type IS NOT NULL, o.quantity
      FROM orders o WHERE o.order_id = ANY(in_orders);
  END IF;
END $$;
