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

-- As read_margin_accounts of 0019, which the previous release calls, with the sums of what waits: null where nothing does, else an
-- array in the order of WaitingSums (exchange/risk/account.py). Of a market also, in columns that only accounts had: `cost`, its
-- spec_seq, and `lots`, its open interest where it is limited.
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
    NULL::int8, NULL::int8, NULL::int8, NULL::int4, NULL::int8[], NULL::int8[]
  FROM markets m
  UNION ALL
  SELECT 'account', a.user_id, p.market_id, NULL, NULL, NULL, a.wallet, abs(a.liquidation_id),
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
