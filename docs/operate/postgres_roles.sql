-- One role per process, with the rights it needs and no more. Run it as the owner of the tables, after every `migrate`:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f docs/operate/postgres_roles.sql
-- then give each role a password (\password perpetua_api) and each process its own DATABASE_URL. It may be run again, also while
-- processes are running: it is one transaction, so no process loses its rights for a moment.
-- `migrate`, `topics`, `rebuild`, `market …`, `admin …` and `drain` are for the operator and run as the owner.

BEGIN;

DO $$
DECLARE
  who text;
BEGIN
  FOREACH who IN ARRAY ARRAY['perpetua_reader', 'perpetua_api', 'perpetua_relay', 'perpetua_engine',
                             'perpetua_projection', 'perpetua_publisher', 'perpetua_clock',
                             'perpetua_liquidator'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = who) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', who);
    END IF;
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', who);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM %I', who);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', who);
  END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- Reads everything but what opens an account: `status`, `audit`, `verify`, dashboards.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO perpetua_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO perpetua_reader;
REVOKE SELECT ON users, api_keys, idempotency_keys, logins, totp, recovery_codes, used_signatures FROM perpetua_reader;
GRANT SELECT (user_id, role, created_at) ON users TO perpetua_reader;
GRANT SELECT (key_id, user_id, scopes, created_at, expires_at, revoked_at) ON api_keys TO perpetua_reader;
-- `verify` keeps what it found.
GRANT INSERT ON verifications TO perpetua_reader;

-- The stream's workers bind a fresh exchange to the first broker they see, and compare it ever after.
GRANT SELECT, INSERT ON broker_identity
  TO perpetua_relay, perpetua_engine, perpetua_projection, perpetua_publisher, perpetua_clock, perpetua_liquidator;
-- They halt a market whose log and rows do not belong together.
GRANT SELECT ON markets, counters, outbox, progress, relay_cursors
  TO perpetua_relay, perpetua_engine, perpetua_projection, perpetua_publisher, perpetua_clock;
GRANT SELECT, INSERT, UPDATE, DELETE ON market_rests
  TO perpetua_relay, perpetua_engine, perpetua_projection, perpetua_publisher;
GRANT UPDATE (status, halted_reason) ON markets TO perpetua_relay, perpetua_engine, perpetua_projection;
-- They show which members of consumer groups they hold, and remove those of a process that is gone.
GRANT SELECT, INSERT, UPDATE, DELETE ON group_members TO perpetua_engine, perpetua_projection, perpetua_publisher;

-- api: takes orders and moves money in and out. It writes no fill, no size or cost of a position, no end of an order, and
-- makes nobody an administrator.
GRANT perpetua_reader TO perpetua_api;
GRANT SELECT, INSERT ON users, api_keys, idempotency_keys, recovery_codes TO perpetua_api;
GRANT UPDATE (password_hash) ON users TO perpetua_api;
GRANT SELECT, INSERT, DELETE ON logins, totp, used_signatures TO perpetua_api;
GRANT UPDATE (ended_at, expires_at) ON logins TO perpetua_api;
GRANT UPDATE (nonce, key_id, created_at, confirmed_at, last_step, failures, failed_at) ON totp TO perpetua_api;
GRANT UPDATE (used_at) ON recovery_codes TO perpetua_api;
GRANT UPDATE (revoked_at) ON api_keys TO perpetua_api;
GRANT INSERT (user_id, wallet) ON accounts TO perpetua_api;
GRANT UPDATE (wallet) ON accounts TO perpetua_api;
GRANT INSERT ON orders, amends, outbox, ledger TO perpetua_api;
GRANT UPDATE (cancel_requested_at, cancel_seq, updated_at) ON orders TO perpetua_api;
GRANT UPDATE (amend_seq, amend_lots, amend_count, margin_price, loss_per_lot, fee_per_lot, excess_per_lot) ON orders TO perpetua_api;
GRANT UPDATE (command_seq) ON counters TO perpetua_api;
GRANT INSERT (user_id, market_id, leverage, buy_notional, sell_notional, open_loss, open_fees, buy_lots, sell_lots,
              live_orders) ON positions TO perpetua_api;
GRANT UPDATE (leverage, buy_notional, sell_notional, open_loss, open_fees, buy_lots, sell_lots, live_orders)
  ON positions TO perpetua_api;
GRANT USAGE ON SEQUENCE transfers TO perpetua_api;
-- What administrators do over REST: they freeze accounts, end the role of one of them, have the relay send again, and it is logged.
GRANT UPDATE (frozen_at) ON accounts TO perpetua_api;
GRANT INSERT ON operator_acts TO perpetua_api;
GRANT EXECUTE ON FUNCTION remove_administrator(int8), rewind_relay(text, int8) TO perpetua_api;

-- relay: moves its cursor, notes when it sent orders, and prunes what is covered.
GRANT SELECT, DELETE ON engine_snapshots TO perpetua_relay;
GRANT DELETE ON outbox TO perpetua_relay;
GRANT UPDATE (command_seq, pruned_seq) ON relay_cursors TO perpetua_relay;
GRANT SELECT (order_id) ON orders TO perpetua_relay;
GRANT INSERT ON relayed_records TO perpetua_relay;

-- engine: keeps snapshots and asks the relay for what is missing.
GRANT SELECT, INSERT ON engine_snapshots TO perpetua_engine;
GRANT SELECT ON failed_commands TO perpetua_engine;
GRANT UPDATE (command_seq) ON relay_cursors TO perpetua_engine;
GRANT EXECUTE ON FUNCTION rewind_relay(text, int8) TO perpetua_engine;

-- projection: writes what events say. It knows no user's name or secret, and takes no command on.
GRANT SELECT ON accounts, orders, amends, positions, liquidation_steps TO perpetua_projection;
GRANT UPDATE (wallet) ON accounts TO perpetua_projection;
GRANT UPDATE ON orders, amends, positions, markets, progress, liquidation_steps TO perpetua_projection;
GRANT INSERT ON positions, fills, ledger, failed_commands, premiums, fundings, funding_payments, settlements,
  persisted_records TO perpetua_projection;
GRANT SELECT, INSERT, UPDATE, DELETE ON countdowns TO perpetua_projection;

-- publisher: reads the fills that the log has no more, and writes nothing.
GRANT SELECT ON fills TO perpetua_publisher;
GRANT SELECT (order_id, client_order_id) ON orders TO perpetua_publisher;

-- clock and price feeds: append commands, and note until when prices are fresh.
GRANT SELECT ON orders, positions, countdowns, price_reports TO perpetua_clock;
GRANT INSERT, UPDATE ON price_reports TO perpetua_clock;
GRANT UPDATE (command_seq) ON counters TO perpetua_clock;
GRANT INSERT ON outbox TO perpetua_clock;

-- liquidator, activator, auditor and candle maker: read all, flag accounts, place and cancel for them, keep receipts, halt by commands.
GRANT perpetua_reader TO perpetua_liquidator;
GRANT UPDATE (liquidation_id, is_closing) ON accounts TO perpetua_liquidator;
GRANT INSERT ON orders, outbox, liquidations, liquidation_steps, audit_runs TO perpetua_liquidator;
GRANT UPDATE (cancel_requested_at, cancel_seq, updated_at) ON orders TO perpetua_liquidator;
-- The activator, in the same process, makes a triggered order live.
GRANT UPDATE (is_waiting, is_live, margin_price, loss_per_lot, fee_per_lot, activated_command_seq)
  ON orders TO perpetua_liquidator;
GRANT UPDATE (leverage, buy_notional, sell_notional, open_loss, open_fees, buy_lots, sell_lots, live_orders)
  ON positions TO perpetua_liquidator;
GRANT UPDATE (command_seq) ON counters TO perpetua_liquidator;
GRANT UPDATE (ended_at) ON liquidations TO perpetua_liquidator;
GRANT UPDATE (done_at, outcome) ON liquidation_steps TO perpetua_liquidator;
GRANT UPDATE ON audit_checkpoint TO perpetua_liquidator;
GRANT INSERT, UPDATE ON candles, candle_cursors TO perpetua_liquidator;

COMMIT;
