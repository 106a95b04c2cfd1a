-- Amends of resting orders (docs/semantics.md, "Amend"). While one is under way, its order counts in the margin sums with the larger of
-- old and new of each term, on its remaining lots and the lots added: margin_price, loss_per_lot, fee_per_lot and excess_per_lot of
-- `orders` are what it counts with, always.

ALTER TABLE orders ADD COLUMN IF NOT EXISTS amend_seq int8;
COMMENT ON COLUMN orders.amend_seq IS 'The command of the amend under way.';
ALTER TABLE orders ADD COLUMN IF NOT EXISTS amend_lots int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN orders.amend_lots IS 'The lots that the amend under way adds: they count like those that remain.';
ALTER TABLE orders ADD COLUMN IF NOT EXISTS amend_count int4 NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS amends (
  order_id int8 NOT NULL,
  command_seq int8 NOT NULL,
  requested_at timestamptz NOT NULL,
  price int8,
  added int8 NOT NULL,
  old_margin_price int8 NOT NULL,
  old_loss_per_lot int8 NOT NULL,
  old_fee_per_lot int8 NOT NULL,
  old_excess_per_lot int8 NOT NULL,
  new_margin_price int8 NOT NULL,
  new_loss_per_lot int8 NOT NULL,
  new_fee_per_lot int8 NOT NULL,
  new_excess_per_lot int8 NOT NULL,
  verdict text NOT NULL DEFAULT 'PENDING',
  reason text,
  best_opposite int8,
  amended_price int8,
  amended_quantity int8,
  event_seq int8,
  PRIMARY KEY (order_id, command_seq)
);
COMMENT ON TABLE amends IS 'Each amend that was accepted: what it asked for, the margin terms before and with it, and its verdict.';
COMMENT ON COLUMN amends.price IS 'Null where the price stays.';
COMMENT ON COLUMN amends.added IS 'Signed lots: the new total less the old one.';
COMMENT ON COLUMN amends.amended_price IS 'The terms that the verdict DONE left: the price, and the quantity in lots, filled and remaining.';

-- Replaces the one of 0019: a reduce-only order counts its lots of an amend too, and its terms may change while it is live.
CREATE OR REPLACE FUNCTION orders_count_reduce_only() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  after_lots int8 := CASE WHEN NEW.is_live THEN NEW.remaining + NEW.amend_lots ELSE 0 END;
  changed_lots int8 := after_lots;
  changed_value int8 := after_lots * NEW.margin_price;
  changed_loss int8 := after_lots * NEW.loss_per_lot;
  changed_fees int8 := after_lots * NEW.fee_per_lot;
  changed_excess int8 := after_lots * NEW.excess_per_lot;
  before_lots int8;
  is_buy boolean := NEW.side = 'BUY';
BEGIN
  IF TG_OP = 'UPDATE' THEN
    before_lots := CASE WHEN OLD.is_live THEN OLD.remaining + OLD.amend_lots ELSE 0 END;
    changed_lots := changed_lots - before_lots;
    changed_value := changed_value - before_lots * OLD.margin_price;
    changed_loss := changed_loss - before_lots * OLD.loss_per_lot;
    changed_fees := changed_fees - before_lots * OLD.fee_per_lot;
    changed_excess := changed_excess - before_lots * OLD.excess_per_lot;
  END IF;
  UPDATE positions p SET
    reduce_buy_lots = p.reduce_buy_lots + CASE WHEN is_buy THEN changed_lots ELSE 0 END,
    reduce_sell_lots = p.reduce_sell_lots + CASE WHEN is_buy THEN 0 ELSE changed_lots END,
    reduce_buy_notional = p.reduce_buy_notional + CASE WHEN is_buy THEN changed_value ELSE 0 END * v.lot_value::int8,
    reduce_sell_notional = p.reduce_sell_notional + CASE WHEN is_buy THEN 0 ELSE changed_value END * v.lot_value::int8,
    reduce_buy_cost = p.reduce_buy_cost + CASE WHEN is_buy THEN changed_loss + changed_fees ELSE 0 END,
    reduce_sell_cost = p.reduce_sell_cost + CASE WHEN is_buy THEN 0 ELSE changed_loss + changed_fees END,
    reduce_loss = p.reduce_loss + changed_loss, reduce_excess = p.reduce_excess + changed_excess
    FROM market_lot_values v
    WHERE p.user_id = NEW.user_id AND p.market_id = NEW.market_id AND v.market_id = NEW.market_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'order % has no row of positions', NEW.order_id;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER orders_reduce_only_changed
  AFTER UPDATE OF remaining, is_live, amend_lots, margin_price, loss_per_lot, fee_per_lot, excess_per_lot ON orders
  FOR EACH ROW WHEN (NEW.reduce_only AND
    (OLD.remaining, OLD.is_live, OLD.amend_lots, OLD.margin_price, OLD.loss_per_lot, OLD.fee_per_lot, OLD.excess_per_lot)
    IS DISTINCT FROM
    (NEW.remaining, NEW.is_live, NEW.amend_lots, NEW.margin_price, NEW.loss_per_lot, NEW.fee_per_lot, NEW.excess_per_lot))
  EXECUTE FUNCTION orders_count_reduce_only();

-- As lock_event_rows of 0032, with the amend under way of each order: its terms before and with it, in the order of MarginTerms
-- (store/projection/rows.py), null where none is under way.
CREATE OR REPLACE FUNCTION lock_rows_of_events(in_markets int4[], in_users int8[], in_orders int8[])
RETURNS TABLE (
  market_id int4, event_seq int8, command_seq int8, event_hash text,
  user_id int8, wallet int8,
  order_id int8, order_user int8, status text, side text, remaining int8, margin_price int8, loss_per_lot int8,
  fee_per_lot int8, filled_lots int8, filled_notional int8, reason text, best_opposite int8,
  is_live boolean, is_waiting boolean, is_conditional boolean, quantity int8,
  amend_seq int8, amend_lots int8, old_terms int8[], new_terms int8[]
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  -- Two calls: the second statement reads the orders once the first has the locks.
  RETURN QUERY SELECT r.*, NULL::int8, NULL::int8, NULL::int8[], NULL::int8[]
    FROM lock_event_rows(in_markets, in_users, '{}') r;
  IF in_orders <> '{}' THEN
    RETURN QUERY SELECT NULL::int4, NULL::int8, NULL::int8, NULL::text, NULL::int8, NULL::int8, o.order_id, o.user_id, o.status,
        o.side, o.remaining, o.margin_price, o.loss_per_lot, o.fee_per_lot, o.filled_lots, o.filled_notional, o.reason,
        o.best_opposite, o.is_live, o.is_waiting, o.working_type IS NOT NULL, o.quantity, o.amend_seq, o.amend_lots,
        CASE WHEN o.amend_seq IS NOT NULL THEN (
          SELECT ARRAY[a.old_margin_price, a.old_loss_per_lot, a.old_fee_per_lot, a.old_excess_per_lot]
          FROM amends a WHERE a.order_id = o.order_id AND a.command_seq = o.amend_seq) END,
        CASE WHEN o.amend_seq IS NOT NULL THEN (
          SELECT ARRAY[a.new_margin_price, a.new_loss_per_lot, a.new_fee_per_lot, a.new_excess_per_lot]
          FROM amends a WHERE a.order_id = o.order_id AND a.command_seq = o.amend_seq) END
      FROM orders o WHERE o.order_id = ANY(in_orders);
  END IF;
END $$;
