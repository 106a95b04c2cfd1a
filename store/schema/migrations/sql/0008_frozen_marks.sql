-- Admission learns which marks are frozen and which accounts are being liquidated; the ledger what an entry was for.

-- The order whose liquidation a fee was paid for; trades and transfers have their own columns.
ALTER TABLE ledger ADD COLUMN order_id int8;

-- With the time in it, a page of an old period is found inside the index.
DROP INDEX ledger_of_user;
CREATE INDEX ledger_of_user ON ledger (account, entry_id DESC, at) WHERE account > 0;

-- As in 0003, and: is_frozen of a market, liquidation_id of an account.
DROP FUNCTION lock_submission(int8[], int8[], text[], int8[]);
CREATE FUNCTION lock_submission(in_users int8[], in_client_users int8[], in_client_ids text[], in_orders int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8, open_fees int8,
  buy_lots int8, sell_lots int8, live_orders int4,
  client_order_id text, order_id int8, request_hash bytea, is_live boolean, cancel_seq int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT 'market', NULL::int8, m.market_id, m.status, m.mark, m.is_frozen, NULL::int8, NULL::int8,
      NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
      NULL::int8, NULL::int8, NULL::int4, NULL::text, NULL::int8, NULL::bytea, NULL::boolean, NULL::int8
    FROM markets m;
  RETURN QUERY SELECT 'account', a.user_id, p.market_id, NULL::text, NULL::int8, NULL::boolean, a.wallet,
      a.liquidation_id, p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss, p.open_fees,
      p.buy_lots, p.sell_lots, p.live_orders, NULL::text, NULL::int8, NULL::bytea, NULL::boolean, NULL::int8
    FROM accounts a
    LEFT JOIN LATERAL (SELECT x.* FROM positions x WHERE x.user_id = a.user_id OFFSET 0) p ON true
    WHERE a.user_id = ANY(in_users);
  IF in_client_ids IS NOT NULL THEN
    -- LATERAL with LIMIT 1: a plan made on the empty table of a new database still takes the index
    RETURN QUERY SELECT 'client_id', t.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, t.client_order_id, o.order_id, o.request_hash, NULL::boolean, NULL::int8
      FROM unnest(in_client_users, in_client_ids) AS t (user_id, client_order_id)
      CROSS JOIN LATERAL (
        SELECT x.market_id, x.status, x.order_id, x.request_hash FROM orders x
        WHERE x.user_id = t.user_id AND x.client_order_id = t.client_order_id LIMIT 1) o;
  END IF;
  IF in_orders IS NOT NULL THEN
    RETURN QUERY SELECT 'cancel', o.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::text, o.order_id, NULL::bytea, o.is_live,
        o.cancel_seq
      FROM unnest(in_orders) AS t (order_id)
      CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o;
  END IF;
END $$;
