-- Amends of orders that wait for their condition (docs/semantics.md, "Amend"). They have no margin terms: a reduce-only one counts in the
-- sums of what waits, while an amend is under way with the lots added.

ALTER TABLE amends ADD COLUMN IF NOT EXISTS was_waiting boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN amends.was_waiting IS 'The order waited for its condition when the amend was accepted.';
ALTER TABLE amends ADD COLUMN IF NOT EXISTS trigger_price int8;
COMMENT ON COLUMN amends.trigger_price IS 'Null where the trigger stays.';
ALTER TABLE amends ADD COLUMN IF NOT EXISTS amended_trigger int8;

CREATE OR REPLACE FUNCTION orders_count_waiting() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  added int4 := NEW.is_waiting::int4;
  added_lots int8 := CASE WHEN NEW.is_waiting THEN NEW.remaining + NEW.amend_lots ELSE 0 END;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    added := added - OLD.is_waiting::int4;
    added_lots := added_lots - CASE WHEN OLD.is_waiting THEN OLD.remaining + OLD.amend_lots ELSE 0 END;
  END IF;
  IF NEW.closes_position OR NOT NEW.reduce_only THEN
    added_lots := 0;
  END IF;
  UPDATE positions p SET waiting_orders = p.waiting_orders + added,
    waiting_buy_lots = p.waiting_buy_lots + CASE NEW.side WHEN 'BUY' THEN added_lots ELSE 0 END,
    waiting_sell_lots = p.waiting_sell_lots + CASE NEW.side WHEN 'SELL' THEN added_lots ELSE 0 END,
    closing_buys = p.closing_buys + CASE WHEN NEW.closes_position AND NEW.side = 'BUY' THEN added ELSE 0 END,
    closing_sells = p.closing_sells + CASE WHEN NEW.closes_position AND NEW.side = 'SELL' THEN added ELSE 0 END
    WHERE p.user_id = NEW.user_id AND p.market_id = NEW.market_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'order % has no row of positions', NEW.order_id;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER orders_waiting_new AFTER INSERT ON orders
  FOR EACH ROW WHEN (NEW.is_waiting) EXECUTE FUNCTION orders_count_waiting();
CREATE OR REPLACE TRIGGER orders_waiting_changed AFTER UPDATE OF remaining, is_waiting, amend_lots ON orders
  FOR EACH ROW WHEN ((OLD.is_waiting OR NEW.is_waiting)
    AND (OLD.remaining, OLD.is_waiting, OLD.amend_lots) IS DISTINCT FROM (NEW.remaining, NEW.is_waiting, NEW.amend_lots))
  EXECUTE FUNCTION orders_count_waiting();

-- As lock_trading_accounts of 0032, then the orders that a batch amends, read in the same round trip as the last holders of the locks
-- left them: `amended` is a JSON array in the order of the fields of store/submission/amended_orders.py.
CREATE OR REPLACE FUNCTION lock_trading_accounts_and_amended(
  in_users int8[], in_client_users int8[], in_client_ids text[], in_orders int8[], in_amended int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4,
  reduce_only int8[], waiting int8[],
  client_order_id text, order_id int8, request_hash bytea, take_profit_order_id int8, stop_loss_order_id int8,
  is_open boolean, cancel_seq int8, amended text
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT l.*, NULL::text FROM lock_trading_accounts(in_users, in_client_users, in_client_ids, in_orders) l;
  FOR kind, order_id, market_id, amended IN
    -- LATERAL with LIMIT 1: a plan made on the empty table of a new database still takes the index
    SELECT 'amended', o.order_id, o.market_id, json_build_array(o.user_id, o.is_live, o.is_waiting, o.side, o.type, o.time_in_force,
      o.self_trade_prevention, o.post_only, o.reduce_only, o.remaining, o.filled_lots, o.price, o.margin_price, o.loss_per_lot,
      o.fee_per_lot, o.excess_per_lot, o.cancel_seq, o.amend_seq, o.amend_count, m.rules,
      (SELECT l.trigger_price FROM orders l WHERE l.order_id = o.take_profit_order_id AND l.is_waiting),
      (SELECT l.trigger_price FROM orders l WHERE l.order_id = o.stop_loss_order_id AND l.is_waiting), o.status, o.working_type,
      o.trigger_price, o.callback_rate, o.activation_price, o.closes_position,
      (SELECT CASE WHEN p.type IN ('LIMIT', 'STOP', 'TAKE_PROFIT') THEN p.price ELSE p.trigger_price END
        FROM orders p WHERE p.order_id = o.parent_order_id AND p.filled_lots = 0))::text
    FROM unnest(in_amended) AS t (order_id)
    CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o
    JOIN markets m ON m.market_id = o.market_id
  LOOP
    RETURN NEXT;
  END LOOP;
END $$;
