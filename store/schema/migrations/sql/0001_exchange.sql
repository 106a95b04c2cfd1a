-- The tables of the exchange. Money is micros, prices are ticks, quantities lots, rates parts per million.
-- order_id = market_id * 2^40 + command_seq of the command that created the order.

CREATE TABLE users (
  user_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text COLLATE "C" NOT NULL UNIQUE,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
  created_at timestamptz NOT NULL
);

CREATE TABLE accounts (
  user_id int8 PRIMARY KEY REFERENCES users,
  wallet int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE markets (
  market_id int4 PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  spec jsonb NOT NULL,
  status text NOT NULL,
  index_price int8 NOT NULL,
  mark int8 NOT NULL,
  mark_at timestamptz NOT NULL,
  epoch int4 NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE counters (
  market_id int4 PRIMARY KEY REFERENCES markets,
  command_seq int8 NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE outbox (
  market_id int4 NOT NULL,
  command_seq int8 NOT NULL,
  created_at timestamptz NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (market_id, command_seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = off);

-- How far the relay has sent, and the low end of what the pruner has left.
CREATE TABLE relay_cursors (
  market_id int4 PRIMARY KEY REFERENCES markets,
  command_seq int8 NOT NULL,
  pruned_seq int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

CREATE TABLE progress (
  market_id int4 PRIMARY KEY REFERENCES markets,
  event_seq int8 NOT NULL,
  command_seq int8 NOT NULL,
  event_hash text NOT NULL,
  at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- One row per account and market: the position, and the margin sums over live orders.
CREATE TABLE positions (
  user_id int8 NOT NULL REFERENCES accounts,
  market_id int4 NOT NULL REFERENCES markets,
  lots int8 NOT NULL DEFAULT 0,
  cost int8 NOT NULL DEFAULT 0,
  realized int8 NOT NULL DEFAULT 0,
  leverage int4 NOT NULL,
  buy_notional int8 NOT NULL DEFAULT 0,
  sell_notional int8 NOT NULL DEFAULT 0,
  open_loss int8 NOT NULL DEFAULT 0,
  open_fees int8 NOT NULL DEFAULT 0,
  buy_lots int8 NOT NULL DEFAULT 0,
  sell_lots int8 NOT NULL DEFAULT 0,
  live_orders int4 NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, market_id)
) WITH (fillfactor = 50);

-- `is_live` changes once, at the end: a partial index on the status would make no update HOT.
CREATE TABLE orders (
  order_id int8 PRIMARY KEY,
  user_id int8 NOT NULL,
  market_id int4 NOT NULL,
  is_live boolean NOT NULL DEFAULT true,
  status text NOT NULL DEFAULT 'PENDING',
  reason text,
  best_opposite int8,
  side text NOT NULL,
  type text NOT NULL,
  time_in_force text NOT NULL,
  self_trade_prevention text NOT NULL,
  post_only boolean NOT NULL,
  reduce_only boolean NOT NULL,
  quantity int8 NOT NULL,
  remaining int8 NOT NULL CHECK (remaining >= 0),
  price int8 NOT NULL,
  margin_price int8 NOT NULL,
  loss_per_lot int8 NOT NULL,
  fee_per_lot int8 NOT NULL,
  filled_lots int8 NOT NULL DEFAULT 0,
  filled_notional int8 NOT NULL DEFAULT 0,
  leverage int4,
  client_order_id text COLLATE "C",
  request_hash bytea,
  expires_at timestamptz,
  valid_until timestamptz,
  cancel_requested_at timestamptz,
  cancel_seq int8,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX orders_of_user ON orders (user_id, created_at DESC, order_id DESC);
CREATE UNIQUE INDEX orders_client_id ON orders (user_id, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX orders_live ON orders (user_id, market_id) WHERE is_live;
CREATE INDEX orders_timed ON orders (expires_at) WHERE is_live AND expires_at IS NOT NULL;

CREATE TABLE fills (
  market_id int4 NOT NULL,
  trade_id int8 NOT NULL,
  role text NOT NULL,
  event_seq int8 NOT NULL,
  order_id int8 NOT NULL,
  user_id int8 NOT NULL,
  side text NOT NULL,
  price int8 NOT NULL,
  quantity int8 NOT NULL,
  notional int8 NOT NULL,
  fee int8 NOT NULL,
  realized int8 NOT NULL,
  cause text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, trade_id, role)
);
CREATE INDEX fills_of_user ON fills (user_id, at DESC, market_id DESC, trade_id DESC);
CREATE INDEX fills_of_order ON fills (order_id);

CREATE TABLE house_accounts (account int8 PRIMARY KEY CHECK (account < 0), name text NOT NULL UNIQUE);
INSERT INTO house_accounts VALUES (-1, 'external'), (-2, 'fees'), (-3, 'insurance'), (-4, 'clearing');

CREATE SEQUENCE transfers;

-- Double entry. `account` is a user id or a house account; the entries of one transaction, an event of a market or a
-- transfer, sum to zero. House rows are only ever inserted and carry no balance_after.
CREATE TABLE ledger (
  entry_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account int8 NOT NULL,
  type text NOT NULL,
  cause text,
  amount int8 NOT NULL,
  balance_after int8,
  market_id int4,
  event_seq int8,
  trade_id int8,
  transfer_id int8,
  at timestamptz NOT NULL,
  CHECK ((market_id IS NULL) = (event_seq IS NULL) AND (event_seq IS NULL) <> (transfer_id IS NULL))
);
CREATE INDEX ledger_of_user ON ledger (account, entry_id DESC) WHERE account > 0;

CREATE TABLE idempotency_keys (
  user_id int8 NOT NULL REFERENCES users,
  key text COLLATE "C" NOT NULL,
  request_hash bytea NOT NULL,
  response bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, key)
);

-- What a market can be rebuilt from after the loss of the whole broker.
CREATE TABLE engine_snapshots (
  market_id int4 NOT NULL REFERENCES markets,
  command_seq int8 NOT NULL,
  event_seq int8 NOT NULL,
  event_hash text NOT NULL,
  state_hash text NOT NULL,
  state bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (market_id, command_seq)
);

-- The one broker this exchange belongs to; every process compares it before it works.
CREATE TABLE broker_identity (one boolean PRIMARY KEY DEFAULT true CHECK (one), cluster_id text NOT NULL);
