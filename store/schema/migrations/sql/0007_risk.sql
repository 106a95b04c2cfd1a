-- Index sources, funding, liquidation and the insurance fund's own positions (docs/semantics.md).

-- The insurance fund holds positions like an account. Its number is that of its house account, so that what it realizes
-- is posted there; its row of `accounts` exists for the locks and its wallet stays 0.
INSERT INTO users (user_id, email, password_hash, role, created_at) OVERRIDING SYSTEM VALUE
  VALUES (-3, 'insurance-fund', '!', 'user', '1970-01-01T00:00:00Z');
INSERT INTO accounts (user_id) VALUES (-3);
CREATE INDEX ledger_of_fund ON ledger (entry_id) INCLUDE (amount) WHERE account = -3;

-- `status` is the one in force: the more restrictive of the operator's and, while the mark is frozen, CANCEL_ONLY.
ALTER TABLE markets
  ADD COLUMN operator_status text,
  ADD COLUMN is_frozen boolean NOT NULL DEFAULT false,
  ADD COLUMN price_sources jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN price_quorum int4 NOT NULL DEFAULT 0,
  ADD COLUMN funding_rate int8 NOT NULL DEFAULT 0,
  ADD COLUMN predicted_funding_rate int8,
  ADD COLUMN next_funding_at timestamptz;
UPDATE markets SET operator_status = status;
ALTER TABLE markets ALTER COLUMN operator_status SET NOT NULL;

-- The open liquidation of an account: while it is set, the account may only reduce, and withdraws nothing.
ALTER TABLE accounts ADD COLUMN liquidation_id int8;

-- The event at which the position last left zero; 0 when flat.
ALTER TABLE positions ADD COLUMN opened_seq int8 NOT NULL DEFAULT 0;
CREATE INDEX positions_open ON positions (market_id, user_id) WHERE lots <> 0;

-- A take-over and a deleveraging are fills without orders; their notional is the amount they were settled at.
ALTER TABLE fills ALTER COLUMN order_id DROP NOT NULL;

-- Premium samples, one a minute at the most: 10^-9 of the index.
CREATE TABLE premiums (
  market_id int4 NOT NULL REFERENCES markets,
  event_seq int8 NOT NULL,
  interval_end timestamptz NOT NULL,
  premium int8 NOT NULL,
  index_price int8 NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, event_seq)
);
CREATE INDEX premiums_of_interval ON premiums (market_id, interval_end);

CREATE TABLE fundings (
  market_id int4 NOT NULL REFERENCES markets,
  interval_end timestamptz NOT NULL,
  event_seq int8 NOT NULL,
  rate int8 NOT NULL,
  premium_sum int8 NOT NULL,
  mark int8 NOT NULL,
  index_price int8 NOT NULL,
  residue int8 NOT NULL,
  is_void boolean NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, interval_end)
);

CREATE TABLE funding_payments (
  market_id int4 NOT NULL,
  interval_end timestamptz NOT NULL,
  user_id int8 NOT NULL,
  event_seq int8 NOT NULL,
  lots int8 NOT NULL,
  mark int8 NOT NULL,
  rate int8 NOT NULL,
  amount int8 NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, interval_end, user_id)
);
CREATE INDEX funding_payments_of_user ON funding_payments (user_id, interval_end DESC, market_id DESC);

-- Positions that were closed when their market ended.
CREATE TABLE settlements (
  market_id int4 NOT NULL,
  user_id int8 NOT NULL,
  event_seq int8 NOT NULL,
  lots int8 NOT NULL,
  price int8 NOT NULL,
  realized int8 NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, user_id)
);

-- What was done to an account because of its margin, from the first step to the last. MARGIN_CALL warns and does nothing;
-- INVENTORY is the insurance fund selling what it took over.
CREATE TABLE liquidations (
  liquidation_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('MARGIN_CALL', 'LIQUIDATION', 'INVENTORY')),
  user_id int8 NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE UNIQUE INDEX liquidations_open ON liquidations (user_id, kind) WHERE ended_at IS NULL;

-- One row a forced action: its receipt. `inputs` is everything it was decided on, `outcome` what its events said.
-- `command_seq` is what it waits for, in its market; NULL for what is done at once.
CREATE TABLE liquidation_steps (
  liquidation_id int8 NOT NULL REFERENCES liquidations,
  step int4 NOT NULL,
  user_id int8 NOT NULL,
  action text NOT NULL CHECK (action IN ('MARGIN_CALL', 'CANCEL_ORDERS', 'LIQUIDATION', 'TAKE_OVER', 'ADL',
    'FUND_CREDIT', 'FUND_SALE', 'RELEASE')),
  market_id int4,
  command_seq int8,
  inputs jsonb NOT NULL,
  outcome jsonb,
  event_seq int8,
  at timestamptz NOT NULL,
  done_at timestamptz,
  PRIMARY KEY (liquidation_id, step)
);
CREATE INDEX liquidation_steps_of_user ON liquidation_steps (user_id, at DESC, liquidation_id DESC, step DESC);
CREATE INDEX liquidation_steps_open ON liquidation_steps (market_id, command_seq) WHERE done_at IS NULL;

-- What the audit that runs by itself has found, newest last; a row a run.
CREATE TABLE audit_runs (
  audit_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  took_ms int4 NOT NULL,
  difference numeric NOT NULL,
  findings jsonb NOT NULL
);
