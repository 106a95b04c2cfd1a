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
