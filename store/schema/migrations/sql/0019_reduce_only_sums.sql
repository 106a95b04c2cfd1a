-- Reduce-only orders have margin sums of their own (docs/semantics.md, "Margin"). The columns of before stay the sums over all live
-- orders; these are the part of them that reduce-only orders have. A trigger keeps them, so they are exact whichever release
-- writes the orders, and no role may write them.

ALTER TABLE orders ADD COLUMN IF NOT EXISTS excess_per_lot int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN orders.excess_per_lot IS
  'Of a reduce-only order: the micros by which loss and fee of a lot exceed the initial margin that closing the lot frees.';
ALTER TABLE orders ADD COLUMN IF NOT EXISTS max_slippage int4;
COMMENT ON COLUMN orders.max_slippage IS 'Of a market order, in parts per million: the bound given in place of the market''s takeBound.';

ALTER TABLE positions
  ADD COLUMN IF NOT EXISTS reduce_buy_lots int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_sell_lots int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_buy_notional int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_sell_notional int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_buy_cost int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_sell_cost int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_loss int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS reduce_excess int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN positions.reduce_buy_cost IS 'Losses and fees of the live reduce-only buys; reduce_loss has the losses of both sides.';

-- loss + fee - floor(reference x rate), at least 0. The reference is the mark at acceptance; for a price better than it, that price.
-- In parts, as maintenance_margin, so that nothing overflows. The counterpart is exchange/risk/order_filters.py.
CREATE OR REPLACE FUNCTION reduce_only_excess(side text, margin_value int8, loss int8, fee int8, rate int8) RETURNS int8
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN greatest(0, loss + fee - (
    (margin_value - CASE side WHEN 'BUY' THEN loss ELSE 0 END) / 1000000 * rate
    + (margin_value - CASE side WHEN 'BUY' THEN loss ELSE 0 END) % 1000000 * rate / 1000000));

CREATE OR REPLACE FUNCTION orders_record_excess() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  SELECT reduce_only_excess(NEW.side, NEW.margin_price * v.lot_value::int8, NEW.loss_per_lot, NEW.fee_per_lot,
      (m.spec->>'initialMarginRate')::int8) INTO STRICT NEW.excess_per_lot
    FROM markets m JOIN market_lot_values v USING (market_id) WHERE m.market_id = NEW.market_id;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION orders_count_reduce_only() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  counted int8 := CASE WHEN NEW.is_live THEN NEW.remaining ELSE 0 END;
  bought int8;
  sold int8;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    counted := counted - CASE WHEN OLD.is_live THEN OLD.remaining ELSE 0 END;
  END IF;
  bought := CASE NEW.side WHEN 'BUY' THEN counted ELSE 0 END;
  sold := counted - bought;
  UPDATE positions p SET
    reduce_buy_lots = p.reduce_buy_lots + bought, reduce_sell_lots = p.reduce_sell_lots + sold,
    reduce_buy_notional = p.reduce_buy_notional + bought * NEW.margin_price * v.lot_value::int8,
    reduce_sell_notional = p.reduce_sell_notional + sold * NEW.margin_price * v.lot_value::int8,
    reduce_buy_cost = p.reduce_buy_cost + bought * (NEW.loss_per_lot + NEW.fee_per_lot),
    reduce_sell_cost = p.reduce_sell_cost + sold * (NEW.loss_per_lot + NEW.fee_per_lot),
    reduce_loss = p.reduce_loss + counted * NEW.loss_per_lot, reduce_excess = p.reduce_excess + counted * NEW.excess_per_lot
    FROM market_lot_values v
    WHERE p.user_id = NEW.user_id AND p.market_id = NEW.market_id AND v.market_id = NEW.market_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'order % has no row of positions', NEW.order_id;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER orders_excess BEFORE INSERT ON orders
  FOR EACH ROW WHEN (NEW.reduce_only) EXECUTE FUNCTION orders_record_excess();
CREATE OR REPLACE TRIGGER orders_reduce_only_new AFTER INSERT ON orders
  FOR EACH ROW WHEN (NEW.reduce_only) EXECUTE FUNCTION orders_count_reduce_only();
CREATE OR REPLACE TRIGGER orders_reduce_only_changed AFTER UPDATE OF remaining, is_live ON orders
  FOR EACH ROW WHEN (NEW.reduce_only AND (OLD.remaining, OLD.is_live) IS DISTINCT FROM (NEW.remaining, NEW.is_live))
  EXECUTE FUNCTION orders_count_reduce_only();

-- The live orders of a running exchange: the tables are locked, so nothing is placed, filled or ended meanwhile.
UPDATE orders o SET excess_per_lot = e.excess
FROM (
  SELECT x.order_id, reduce_only_excess(x.side, x.margin_price * v.lot_value::int8, x.loss_per_lot, x.fee_per_lot,
    (m.spec->>'initialMarginRate')::int8) AS excess
  FROM orders x JOIN markets m USING (market_id) JOIN market_lot_values v USING (market_id)
  WHERE x.is_live AND x.reduce_only) e
WHERE o.order_id = e.order_id AND e.excess <> 0;
UPDATE positions p SET
  reduce_buy_lots = s.buy_lots, reduce_sell_lots = s.sell_lots,
  reduce_buy_notional = s.buy_notional, reduce_sell_notional = s.sell_notional,
  reduce_buy_cost = s.buy_cost, reduce_sell_cost = s.sell_cost, reduce_loss = s.loss, reduce_excess = s.excess
FROM (
  SELECT x.user_id, x.market_id,
    sum(CASE x.side WHEN 'BUY' THEN x.remaining ELSE 0 END) AS buy_lots,
    sum(CASE x.side WHEN 'SELL' THEN x.remaining ELSE 0 END) AS sell_lots,
    sum(CASE x.side WHEN 'BUY' THEN x.remaining * x.margin_price * v.lot_value ELSE 0 END) AS buy_notional,
    sum(CASE x.side WHEN 'SELL' THEN x.remaining * x.margin_price * v.lot_value ELSE 0 END) AS sell_notional,
    sum(CASE x.side WHEN 'BUY' THEN x.remaining * (x.loss_per_lot + x.fee_per_lot) ELSE 0 END) AS buy_cost,
    sum(CASE x.side WHEN 'SELL' THEN x.remaining * (x.loss_per_lot + x.fee_per_lot) ELSE 0 END) AS sell_cost,
    sum(x.remaining * x.loss_per_lot) AS loss, sum(x.remaining * x.excess_per_lot) AS excess
  FROM orders x JOIN market_lot_values v USING (market_id) WHERE x.is_live AND x.reduce_only
  GROUP BY x.user_id, x.market_id) s
WHERE p.user_id = s.user_id AND p.market_id = s.market_id;

-- As read_margin and lock_accounts of 0016, which the previous release calls, with the sums of reduce-only orders: null where
-- there is none, as in most rows, else an array in the order of ReduceOnlySums (exchange/risk/account.py). Every row of every batch
-- carries them, so their width counts.
CREATE OR REPLACE FUNCTION read_margin_accounts(in_users int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4,
  reduce_only int8[]
)
LANGUAGE sql STABLE AS $$
  SELECT 'market', NULL::int8, m.market_id, m.status, m.mark, m.is_frozen, NULL::int8, NULL::int8,
    NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8,
    NULL::int8, NULL::int8, NULL::int8, NULL::int4, NULL::int8[]
  FROM markets m
  UNION ALL
  SELECT 'account', a.user_id, p.market_id, NULL, NULL, NULL, a.wallet, abs(a.liquidation_id),
    a.is_closing, p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss,
    p.open_fees, p.buy_lots, p.sell_lots, p.live_orders,
    CASE WHEN p.reduce_buy_lots <> 0 OR p.reduce_sell_lots <> 0 THEN ARRAY[p.reduce_buy_lots, p.reduce_sell_lots,
      p.reduce_buy_notional, p.reduce_sell_notional, p.reduce_buy_cost, p.reduce_sell_cost, p.reduce_excess] END
  FROM accounts a
  LEFT JOIN LATERAL (SELECT x.* FROM positions x WHERE x.user_id = a.user_id OFFSET 0) p ON true
  WHERE a.user_id = ANY(in_users)
$$;

CREATE OR REPLACE FUNCTION lock_margin_accounts(
  in_users int8[], in_client_users int8[], in_client_ids text[], in_orders int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4,
  reduce_only int8[],
  client_order_id text, order_id int8, request_hash bytea, is_live boolean, cancel_seq int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT r.*, NULL::text, NULL::int8, NULL::bytea, NULL::boolean, NULL::int8
    FROM read_margin_accounts(in_users) r;
  IF in_client_ids IS NOT NULL THEN
    -- LATERAL with LIMIT 1: a plan made on the empty table of a new database still takes the index
    RETURN QUERY SELECT 'client_id', t.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::int8[], t.client_order_id, o.order_id, o.request_hash, NULL::boolean, NULL::int8
      FROM unnest(in_client_users, in_client_ids) AS t (user_id, client_order_id)
      CROSS JOIN LATERAL (
        SELECT x.market_id, x.status, x.order_id, x.request_hash FROM orders x
        WHERE x.user_id = t.user_id AND x.client_order_id = t.client_order_id LIMIT 1) o;
  END IF;
  IF in_orders IS NOT NULL THEN
    RETURN QUERY SELECT 'cancel', o.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::int8[], NULL::text, o.order_id, NULL::bytea, o.is_live, o.cancel_seq
      FROM unnest(in_orders) AS t (order_id)
      CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o;
  END IF;
END $$;
