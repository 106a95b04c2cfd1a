-- An account that is being closed has a column for that, and each rule that both SQL and Python compute has one function
-- here (the counterparts: exchange/risk/margin.py and exchange/risk/liquidation.py; a property test compares them).

ALTER TABLE accounts ADD COLUMN IF NOT EXISTS is_closing boolean NOT NULL DEFAULT false;
UPDATE accounts SET is_closing = true WHERE liquidation_id < 0;

-- For one release both are written: the previous release reads and writes the sign of `liquidation_id` and may still run
-- at the same time. Until the sign is dropped, the trigger keeps the column equal to it, whichever release writes. This
-- release reads only `is_closing` and `abs(liquidation_id)`, so the next one may drop trigger and sign.
CREATE OR REPLACE FUNCTION accounts_sign_to_is_closing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.is_closing := coalesce(NEW.liquidation_id < 0, false);
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER accounts_is_closing BEFORE UPDATE OF liquidation_id ON accounts
  FOR EACH ROW EXECUTE FUNCTION accounts_sign_to_is_closing();
COMMENT ON COLUMN accounts.liquidation_id IS
  'The liquidation under way, or the one that the account is a counterparty of: it may only reduce, and withdraws nothing. '
  'Negative while is_closing, for the release before that column; no reader of this release uses the sign.';
COMMENT ON COLUMN accounts.is_closing IS
  'The account places no order, because its positions are closed without the book, or it is deleveraged.';

-- ceil(|value| x rate), in micros and parts per million. In int8, because every account is scanned with it; quotient and
-- remainder are computed separately so that nothing overflows.
CREATE OR REPLACE FUNCTION maintenance_margin(value int8, rate int8) RETURNS int8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN abs(value) / 1000000 * rate + (abs(value) % 1000000 * rate + 999999) / 1000000;

CREATE OR REPLACE FUNCTION is_liquidatable(equity numeric, maintenance numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN maintenance > 0 AND equity <= maintenance;

-- One division of whole numbers; the factor gives the result 12 decimals, however large it is.
CREATE OR REPLACE FUNCTION adl_score(mark_value numeric, cost numeric, bankrupt_amount numeric) RETURNS numeric
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN mark_value > cost
    THEN (mark_value - cost) * abs(mark_value) * 1.000000000000
      / (greatest(1, abs(cost)) * greatest(1, mark_value - bankrupt_amount))
    ELSE (mark_value - cost) * greatest(1, mark_value - bankrupt_amount) * 1.000000000000
      / (greatest(1, abs(cost)) * abs(mark_value)) END;

-- The state of every market, and the accounts with their positions in each: the inputs of admission.
CREATE OR REPLACE FUNCTION read_margin(in_users int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4
)
LANGUAGE sql STABLE AS $$
  SELECT 'market', NULL::int8, m.market_id, m.status, m.mark, m.is_frozen, NULL::int8, NULL::int8,
    NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8,
    NULL::int8, NULL::int8, NULL::int8, NULL::int4
  FROM markets m
  UNION ALL
  SELECT 'account', a.user_id, p.market_id, NULL, NULL, NULL, a.wallet, abs(a.liquidation_id),
    a.is_closing, p.lots, p.cost, p.leverage, p.buy_notional, p.sell_notional, p.open_loss,
    p.open_fees, p.buy_lots, p.sell_lots, p.live_orders
  FROM accounts a
  LEFT JOIN LATERAL (SELECT x.* FROM positions x WHERE x.user_id = a.user_id OFFSET 0) p ON true
  WHERE a.user_id = ANY(in_users)
$$;

-- As lock_submission of 0008, which the previous release calls, with is_closing.
CREATE OR REPLACE FUNCTION lock_accounts(in_users int8[], in_client_users int8[], in_client_ids text[], in_orders int8[])
RETURNS TABLE (
  kind text, user_id int8, market_id int4, status text, mark int8, is_frozen boolean, wallet int8, liquidation_id int8,
  is_closing boolean, lots int8, cost int8, leverage int4, buy_notional int8, sell_notional int8, open_loss int8,
  open_fees int8, buy_lots int8, sell_lots int8, live_orders int4,
  client_order_id text, order_id int8, request_hash bytea, is_live boolean, cancel_seq int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT r.*, NULL::text, NULL::int8, NULL::bytea, NULL::boolean, NULL::int8 FROM read_margin(in_users) r;
  IF in_client_ids IS NOT NULL THEN
    -- LATERAL with LIMIT 1: a plan made on the empty table of a new database still takes the index
    RETURN QUERY SELECT 'client_id', t.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, t.client_order_id, o.order_id, o.request_hash, NULL::boolean, NULL::int8
      FROM unnest(in_client_users, in_client_ids) AS t (user_id, client_order_id)
      CROSS JOIN LATERAL (
        SELECT x.market_id, x.status, x.order_id, x.request_hash FROM orders x
        WHERE x.user_id = t.user_id AND x.client_order_id = t.client_order_id LIMIT 1) o;
  END IF;
  IF in_orders IS NOT NULL THEN
    RETURN QUERY SELECT 'cancel', o.user_id, o.market_id, o.status, NULL::int8, NULL::boolean, NULL::int8,
        NULL::int8, NULL::boolean, NULL::int8, NULL::int8, NULL::int4, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
        NULL::int8, NULL::int8, NULL::int4, NULL::text, o.order_id, NULL::bytea, o.is_live, o.cancel_seq
      FROM unnest(in_orders) AS t (order_id)
      CROSS JOIN LATERAL (SELECT x.* FROM orders x WHERE x.order_id = t.order_id LIMIT 1) o;
  END IF;
END $$;
