-- The clock that the times of commands are compared with: PostgreSQL's. It is the only place that reads it for that purpose, so that
-- a test can step it; null compares with nothing.
CREATE OR REPLACE FUNCTION exchange_clock() RETURNS timestamptz
LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- The encoded command with another time. The time is the first field after the type (schemas/commands.py, CommandBase).
CREATE OR REPLACE FUNCTION with_time(payload bytea, at timestamptz) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT convert_to(regexp_replace(convert_from(payload, 'UTF8'), '^(\{"type":"[a-z_.]+","at":)-?\d+',
    '\1' || (extract(epoch FROM at) * 1000000)::int8), 'UTF8') $$;

-- The one place that appends to the command logs: what append_commands of migration 0015 was, and the comparison of times.
--
-- A command is numbered under its writer's time, unless that is more than two seconds off the clock here (docs/adr/0009). Then it is
-- the earlier of the two, but not before the market's last command. So no clock that is wrong alone, the writer's or PostgreSQL's,
-- moves a market ahead, and none stamps an event with a time long past. The last command is in the outbox, or persisted.
CREATE OR REPLACE FUNCTION number_commands(in_markets int4[], in_at timestamptz[], in_payloads bytea[], in_passed int8[] DEFAULT NULL)
RETURNS TABLE (place int8, market_id int4, command_seq int8, at timestamptz)
LANGUAGE plpgsql VOLATILE ROWS 10 AS $$
#variable_conflict use_column
DECLARE
  clock timestamptz;
BEGIN
  PERFORM 1 FROM counters c WHERE c.market_id = ANY(in_markets) ORDER BY c.market_id FOR NO KEY UPDATE;
  clock := exchange_clock();
  RETURN QUERY
    WITH accepted AS MATERIALIZED (
      SELECT a.place, a.market_id, a.at AS written, a.payload,
        CASE WHEN clock IS NULL OR a.at BETWEEN clock - interval '2 s' AND clock + interval '2 s' THEN a.at
          ELSE greatest(least(a.at, clock),
            (SELECT p.at FROM progress p WHERE p.market_id = a.market_id),
            (SELECT o.created_at FROM counters c JOIN outbox o ON o.market_id = c.market_id AND o.command_seq = c.command_seq
              WHERE c.market_id = a.market_id)) END AS at,
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
      SELECT a.market_id, r.base + a.nth, a.at, CASE WHEN a.at = a.written THEN a.payload ELSE with_time(a.payload, a.at) END
      FROM accepted a JOIN raised r ON r.market_id = a.market_id),
    woken AS MATERIALIZED (
      SELECT r.market_id, r.base, pg_notify('commands', m.name)
      FROM raised r JOIN markets m ON m.market_id = r.market_id)
    SELECT a.place, a.market_id, w.base + a.nth, a.at FROM accepted a JOIN woken w ON w.market_id = a.market_id;
END $$;

-- The same for callers that need no time.
CREATE OR REPLACE FUNCTION append_commands(in_markets int4[], in_at timestamptz[], in_payloads bytea[], in_passed int8[] DEFAULT NULL)
RETURNS TABLE (place int8, market_id int4, command_seq int8)
LANGUAGE plpgsql VOLATILE ROWS 10 AS $$
BEGIN
  RETURN QUERY SELECT n.place, n.market_id, n.command_seq FROM number_commands(in_markets, in_at, in_payloads, in_passed) n;
END $$;
