-- The database key of the order that command `seq` of a market created; schemas/ids.py computes the same. The planner inlines it,
-- so that a condition with it can use an index.
CREATE OR REPLACE FUNCTION order_key(market_id int8, seq int8) RETURNS int8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT (market_id << 40) + seq';

-- The command sequence inside an order's database key.
CREATE OR REPLACE FUNCTION seq_of_order_key(key int8) RETURNS int8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT key & (1::int8 << 40) - 1';

-- The number of a house account, as in the table house_accounts; a constant for the planner, so that it can use partial indexes.
CREATE OR REPLACE FUNCTION house_account(name text) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE name WHEN 'external' THEN -1 WHEN 'fees' THEN -2 WHEN 'insurance' THEN -3 WHEN 'clearing' THEN -4 END $$;

-- The one place that appends to the command logs: it numbers commands, writes the outbox and wakes the relays.
-- A market's counter is locked from here to the end of the transaction, so that its sequences have no gaps and become
-- visible in order; counters are locked in market order, so that two callers never deadlock. Each
-- statement of a VOLATILE function takes its own snapshot, so the second one sees what the last holder of the locks wrote.
--
-- Commands are numbered in the order given, per market. A command that is left out has no row in the result: one for an unknown
-- market, and one with `passed` whose market is not persisted up to that command, or is halted by the exchange itself.
-- `passed` is for periodic commands (clock, prices): they must not pile up while no worker processes the market.
-- All others (null) are appended to a halted market too and wait there until the market is resumed: a cancel, a step of a
-- liquidation and an operator's command are sent only once.
--
-- It runs with the rights of its caller: SELECT on markets and progress, UPDATE (command_seq) on counters, INSERT on outbox.
CREATE OR REPLACE FUNCTION append_commands(in_markets int4[], in_at timestamptz[], in_payloads bytea[], in_passed int8[] DEFAULT NULL)
RETURNS TABLE (place int8, market_id int4, command_seq int8)
LANGUAGE plpgsql VOLATILE ROWS 10 AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM counters c WHERE c.market_id = ANY(in_markets) ORDER BY c.market_id FOR NO KEY UPDATE;
  RETURN QUERY
    WITH accepted AS MATERIALIZED (
      SELECT a.place, a.market_id, a.at, a.payload,
        row_number() OVER (PARTITION BY a.market_id ORDER BY a.place) AS nth
      FROM unnest(in_markets, in_at, in_payloads, in_passed) WITH ORDINALITY AS a (market_id, at, payload, passed, place)
      WHERE a.passed IS NULL OR EXISTS (
        SELECT FROM markets m JOIN progress p ON p.market_id = m.market_id
        WHERE m.market_id = a.market_id AND m.halted_reason IS NULL AND p.command_seq >= a.passed)),
    raised AS (
      UPDATE counters c SET command_seq = c.command_seq + n.commands
      FROM (SELECT a.market_id, count(*) AS commands FROM accepted a GROUP BY a.market_id) n
      WHERE c.market_id = n.market_id RETURNING c.market_id, c.command_seq - n.commands AS base),
    written AS (
      INSERT INTO outbox (market_id, command_seq, created_at, payload)
      SELECT a.market_id, r.base + a.nth, a.at, a.payload FROM accepted a JOIN raised r ON r.market_id = a.market_id),
    woken AS MATERIALIZED (
      SELECT r.market_id, r.base, pg_notify('commands', m.name)
      FROM raised r JOIN markets m ON m.market_id = r.market_id)
    SELECT a.place, a.market_id, w.base + a.nth FROM accepted a JOIN woken w ON w.market_id = a.market_id;
END $$;
