-- What positions, orders and receipts show of a liquidation, and since when a leverage is in force.

-- The rank of a position in its side's queue, by lots (the counterpart: exchange/risk/deleveraging.py; a property test
-- compares them). It belongs to the fifth in which its last lot is; the head of the queue is always 4.
CREATE OR REPLACE FUNCTION adl_rank(ahead numeric, size numeric, total numeric) RETURNS int4 LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN ahead = 0 THEN 4 ELSE 5 - div(5 * (ahead + size) + total - 1, total)::int4 END;

-- The users that a deleveraging was ordered against: who may see its receipt next to its owner.
CREATE OR REPLACE FUNCTION adl_counterparties(inputs jsonb) RETURNS int8[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (SELECT coalesce(array_agg((r->>'user')::int8), '{}') FROM jsonb_array_elements(inputs->'ranking') r
    WHERE r->>'closes' <> '0');

-- Null: set before this was recorded. The default is the moment at which the account first has an order or a leverage in the
-- market. A trigger, so that the previous release keeps it too; its condition costs a write that changes nothing else
-- hardly anything.
ALTER TABLE positions ADD COLUMN IF NOT EXISTS leverage_set_at timestamptz;
ALTER TABLE positions ALTER COLUMN leverage_set_at SET DEFAULT clock_timestamp();
CREATE OR REPLACE FUNCTION positions_leverage_set_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.leverage_set_at := clock_timestamp();
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER positions_leverage BEFORE UPDATE OF leverage ON positions
  FOR EACH ROW WHEN (NEW.leverage <> OLD.leverage) EXECUTE FUNCTION positions_leverage_set_at();
