-- What deciding a batch reads.

-- As read_margin_accounts of 0019, which the previous release calls, with the sums of what waits: null where nothing does, else an
-- array in the order of WaitingSums (exchange/risk/account.py). Of a market also, in columns that only accounts had: `cost`, its
-- spec_seq, `live_orders`, its rules, and `lots`, its open interest where it is limited.
CREATE OR REPLACE FUNCTION read_trading_accounts(in_users int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4,
  reduce_only int8[], waiting int8[]
)
LANGUAGE sql STABLE AS $$
  SELECT 'market', NULL::int8, m.market_id, m.status, m.mark, m.is_frozen, NULL::int8, NULL::int8,
    NULL::boolean,
    CASE WHEN m.spec ? 'openInterestMax' THEN (SELECT g.open_interest FROM progress g WHERE g.market_id = m.market_id) END,
    m.spec_seq, NULL::int4, NULL::int8, NULL::int8, NULL::int8,
    NULL::int8, NULL::int8, NULL::int8, m.rules, NULL::int8[], NULL::int8[]
  FROM markets m
  UNION ALL
  SELECT 'account', a.user_id, p.market_id, NULL, NULL, NULL, a.wallet, abs(a.liquidation_id),
    a.is_closing, p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss,
    p.open_fees, p.buy_lots, p.sell_lots, p.live_orders,
    CASE WHEN p.reduce_buy_lots <> 0 OR p.reduce_sell_lots <> 0 THEN ARRAY[p.reduce_buy_lots, p.reduce_sell_lots,
      p.reduce_buy_notional, p.reduce_sell_notional, p.reduce_buy_cost, p.reduce_sell_cost, p.reduce_excess] END,
    CASE WHEN p.waiting_orders <> 0 THEN ARRAY[p.waiting_buy_lots, p.waiting_sell_lots, p.closing_buys, p.closing_sells,
      p.waiting_orders] END
  FROM accounts a
  LEFT JOIN LATERAL (SELECT x.* FROM positions x WHERE x.user_id = a.user_id OFFSET 0) p ON true
  WHERE a.user_id = ANY(in_users)
$$;

-- As lock_margin_accounts of 0019, which the previous release calls, with the sums of what waits, and the orders that a batch amends:
-- `amended` is a JSON array in the order of the fields of store/submission/amended_orders.py. A cancel may name a waiting order.
CREATE OR REPLACE FUNCTION lock_trading_accounts(
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
  PERFORM 1 FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT r.*, NULL::text, NULL::int8, NULL::bytea, NULL::int8, NULL::int8, NULL::boolean, NULL::int8, NULL::text
    FROM read_trading_accounts(in_users) r;
  -- From here on LATERAL with LIMIT 1: a plan made on the empty table of a new database still takes the index
  IF in_client_ids IS NOT NULL THEN
    RETURN QUERY SELECT 'client_id', t.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::int8[], NULL::int8[], t.client_order_id, o.order_id, o.request_hash,
        o.take_profit_order_id, o.stop_loss_order_id, NULL::boolean, NULL::int8, NULL::text
      FROM unnest(in_client_users, in_client_ids) AS t (user_id, client_order_id)
      CROSS JOIN LATERAL (
        SELECT x.market_id, x.status, x.order_id, x.request_hash, x.take_profit_order_id, x.stop_loss_order_id FROM orders x
        WHERE x.user_id = t.user_id AND x.client_order_id = t.client_order_id LIMIT 1) o;
  END IF;
  IF in_orders IS NOT NULL THEN
    RETURN QUERY SELECT 'cancel', o.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::int8[], NULL::int8[], NULL::text, o.order_id, NULL::bytea, NULL::int8,
        NULL::int8, o.is_live OR o.is_waiting, o.cancel_seq, NULL::text
      FROM unnest(in_orders) AS t (order_id)
      CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o;
  END IF;
  IF in_amended IS NOT NULL THEN
    RETURN QUERY SELECT 'amended', o.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::int8[], NULL::int8[], NULL::text, o.order_id, NULL::bytea, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8,
        json_build_array(o.user_id, o.is_live, o.is_waiting, o.side, o.type, o.time_in_force, o.self_trade_prevention, o.post_only,
          o.reduce_only, o.remaining, o.filled_lots, o.price, o.margin_price, o.loss_per_lot, o.fee_per_lot, o.excess_per_lot,
          o.cancel_seq, o.amend_seq, o.amend_count,
          CASE WHEN o.take_profit_order_id IS NOT NULL THEN
            (SELECT l.trigger_price FROM orders l WHERE l.order_id = o.take_profit_order_id AND l.is_waiting) END,
          CASE WHEN o.stop_loss_order_id IS NOT NULL THEN
            (SELECT l.trigger_price FROM orders l WHERE l.order_id = o.stop_loss_order_id AND l.is_waiting) END,
          o.status, o.working_type, o.trigger_price, o.callback_rate, o.activation_price, o.closes_position,
          CASE WHEN o.parent_order_id IS NOT NULL THEN
            (SELECT CASE WHEN p.type IN ('LIMIT', 'STOP', 'TAKE_PROFIT') THEN p.price ELSE p.trigger_price END
              FROM orders p WHERE p.order_id = o.parent_order_id AND p.filled_lots = 0) END,
          CASE WHEN o.parent_order_id IS NOT NULL OR o.take_profit_order_id IS NOT NULL OR o.stop_loss_order_id IS NOT NULL THEN
            (SELECT json_agg(json_build_array(x.order_id, x.amend_seq)) FROM orders x
              WHERE x.order_id = o.parent_order_id AND x.filled_lots = 0
                OR x.order_id IN (o.take_profit_order_id, o.stop_loss_order_id) AND x.is_waiting AND o.filled_lots = 0)
          END)::text
      FROM unnest(in_amended) AS t (order_id)
      CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o;
  END IF;
END $$;

-- Only databases that no release has migrated have these.
DROP FUNCTION IF EXISTS lock_trading_accounts_and_amended(int8[], int8[], text[], int8[], int8[]);
DROP FUNCTION IF EXISTS lock_trading_accounts(int8[], int8[], text[], int8[]);
