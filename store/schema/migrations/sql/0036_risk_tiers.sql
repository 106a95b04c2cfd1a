-- Risk tiers, and limits of position and open interest (docs/semantics.md, "Risk tiers"). The tiers are in markets.spec.

ALTER TABLE markets ADD COLUMN IF NOT EXISTS spec_seq int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN markets.spec_seq IS
  'The event that changed the specification last; 0 before. A process that keeps specifications sees by it that one is old.';

-- The projection writes it with the rest of the row, at no cost. It counts on from `open_interest_seq`, and adds the positions up where the
-- release before has written later events.
ALTER TABLE progress
  ADD COLUMN IF NOT EXISTS open_interest int8 NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS open_interest_seq int8 NOT NULL DEFAULT -1;
COMMENT ON COLUMN progress.open_interest IS 'The lots of all long positions, as of event open_interest_seq.';

-- Within a statement that changes positions, as they were before it.
CREATE OR REPLACE FUNCTION sum_open_interest(in_market int4) RETURNS int8 LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(p.lots), 0)::int8 FROM positions p WHERE p.market_id = in_market AND p.opened_seq <> 0 AND p.lots > 0 $$;

-- The tiers by notional in micros, for maintenance: a position of `above` to below `up_to` needs base + the rate of what is above `above`.
-- base is whole, because the borders of tiers are whole units of the quote asset. A market without tiers is one.
CREATE OR REPLACE VIEW market_risk_tiers AS
SELECT b.market_id, b.above,
  coalesce(lead(b.above) OVER tier, 9223372036854775807) AS up_to,
  coalesce(sum((b.notional_up_to - b.above) / 1000000 * b.rate)
    OVER (tier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::int8 AS base,
  b.rate
FROM (
  SELECT m.market_id, t.place, (t.tier->>'notionalUpTo')::int8 AS notional_up_to, (t.tier->>'maintenanceMarginRate')::int8 AS rate,
    coalesce(lag((t.tier->>'notionalUpTo')::int8) OVER (PARTITION BY m.market_id ORDER BY t.place), 0) AS above
  FROM markets m CROSS JOIN LATERAL jsonb_array_elements(m.spec->'riskTiers') WITH ORDINALITY AS t(tier, place)
  UNION ALL
  SELECT m.market_id, 1, 0, (m.spec->>'maintenanceMarginRate')::int8, 0 FROM markets m WHERE NOT m.spec ? 'riskTiers'
) b
WINDOW tier AS (PARTITION BY b.market_id ORDER BY b.place);
