-- What operators do to accounts and markets: freezes, corrections, and the log of every act.

ALTER TABLE accounts ADD COLUMN IF NOT EXISTS frozen_at timestamptz;
CREATE INDEX IF NOT EXISTS accounts_frozen ON accounts (user_id) WHERE frozen_at IS NOT NULL;
COMMENT ON COLUMN accounts.frozen_at IS 'Since when an operator lets the account only reduce, and withdraw nothing.';

-- As in 0040, with `is_frozen` of an account, which the previous release does not read.
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
  SELECT 'account', a.user_id, p.market_id, NULL, NULL, a.frozen_at IS NOT NULL, a.wallet, abs(a.liquidation_id),
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

-- Every act of an operator: who (an administrator over REST, or whoever typed it on the command line), what, on whom, why,
-- and the state before and after. A correction also names its transfer, with the amount that the wallet gained.
CREATE TABLE IF NOT EXISTS operator_acts (
  act_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  operator_id int8 REFERENCES users,
  shell text,
  action text NOT NULL,
  user_id int8 REFERENCES users,
  market_id int4 REFERENCES markets,
  reason text,
  before jsonb NOT NULL,
  after jsonb NOT NULL,
  transfer_id int8 UNIQUE,
  amount int8,
  CHECK ((operator_id IS NULL) <> (shell IS NULL)),
  CHECK ((transfer_id IS NULL) = (amount IS NULL))
);
CREATE INDEX IF NOT EXISTS operator_acts_of_user ON operator_acts (user_id, act_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS operator_acts_of_market ON operator_acts (market_id, act_id) WHERE market_id IS NOT NULL;

CREATE OR REPLACE FUNCTION operator_acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'operator_acts is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER operator_acts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_acts
  FOR EACH STATEMENT EXECUTE FUNCTION operator_acts_stay();

-- What `verify` found, newest last.
CREATE TABLE IF NOT EXISTS verifications (
  verification_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  market_id int4 NOT NULL REFERENCES markets,
  at timestamptz NOT NULL,
  took_ms int4 NOT NULL,
  report jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS verifications_of_market ON verifications (market_id, verification_id);

-- The API may do these two things, and nothing else with the columns they write. So whoever has its role makes nobody an administrator.
-- All administrators are locked, so that two of them who remove each other at once leave one.
CREATE OR REPLACE FUNCTION remove_administrator(in_user int8) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM 1 FROM users WHERE role = 'admin' ORDER BY user_id FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT FROM users WHERE user_id = in_user AND role = 'admin') THEN
    RETURN 'NOT_ONE';
  ELSIF NOT EXISTS (SELECT FROM users WHERE user_id <> in_user AND role = 'admin') THEN
    RETURN 'LAST_ONE';
  END IF;
  UPDATE users SET role = 'user' WHERE user_id = in_user;
  RETURN 'REMOVED';
END $$;

-- The relay sends again from a command on; only what PostgreSQL has accepted and still has.
CREATE OR REPLACE FUNCTION rewind_relay(in_market text, in_seq int8) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH rewound AS (
    UPDATE relay_cursors r SET command_seq = least(r.command_seq, in_seq - 1) FROM markets m
    WHERE m.name = in_market AND r.market_id = m.market_id AND r.pruned_seq < in_seq RETURNING m.name)
  SELECT count(pg_notify('commands', name)) > 0 FROM rewound
$$;
REVOKE EXECUTE ON FUNCTION remove_administrator(int8), rewind_relay(text, int8) FROM PUBLIC;
