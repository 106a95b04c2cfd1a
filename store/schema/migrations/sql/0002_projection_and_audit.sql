-- What the projection locks and reads before it writes, and the one view that proves nothing was made or lost.

-- Lock order: progress, accounts by user, positions, orders by id. Every statement of a VOLATILE function takes its
-- own snapshot under READ COMMITTED, so what is read after a lock is what the last holder left. Three kinds of rows
-- come back: one of progress (event_seq), one an account (user_id), one an order (order_id).
CREATE FUNCTION lock_projection(in_market int4, in_users int8[], in_orders int8[])
RETURNS TABLE (
  event_seq int8, command_seq int8, event_hash text,
  user_id int8, wallet int8,
  order_id int8, order_user int8, status text, side text, remaining int8, margin_price int8, loss_per_lot int8,
  fee_per_lot int8, filled_lots int8, filled_notional int8, reason text, best_opposite int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT p.event_seq, p.command_seq, p.event_hash, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
      NULL::text, NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text,
      NULL::int8
    FROM progress p WHERE p.market_id = in_market FOR NO KEY UPDATE;
  PERFORM 1 FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT NULL::int8, NULL::int8, NULL::text, a.user_id, a.wallet, NULL::int8, NULL::int8, NULL::text,
      NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text, NULL::int8
    FROM accounts a WHERE a.user_id = ANY(in_users);
  PERFORM 1 FROM positions p WHERE p.user_id = ANY(in_users) AND p.market_id = in_market
    ORDER BY p.user_id FOR NO KEY UPDATE;
  PERFORM 1 FROM orders o WHERE o.order_id = ANY(in_orders) ORDER BY o.order_id FOR NO KEY UPDATE;
  RETURN QUERY SELECT NULL::int8, NULL::int8, NULL::text, NULL::int8, NULL::int8, o.order_id, o.user_id, o.status,
      o.side, o.remaining, o.margin_price, o.loss_per_lot, o.fee_per_lot, o.filled_lots, o.filled_notional, o.reason,
      o.best_opposite
    FROM orders o WHERE o.order_id = ANY(in_orders);
END $$;

-- Micros that one lot of a market costs per tick of price.
CREATE VIEW market_lot_values AS
SELECT market_id, name,
  div((spec->>'tickSizeE18')::numeric * (spec->>'lotSizeE18')::numeric, 1000000000000000000000000000000) AS lot_value
FROM markets;

-- Conservation, exact, at all times (docs/semantics.md, "Ledger and conservation"): wallets + fees + fund - signed costs = net deposits +
-- seeded fund, and the clearing account is always the opposite of the signed costs. One row, all in micros.
CREATE VIEW conservation AS
WITH house AS (
  SELECT
    coalesce(sum(amount) FILTER (WHERE account = -1), 0) AS external,
    coalesce(sum(amount) FILTER (WHERE account = -2), 0) AS fees,
    coalesce(sum(amount) FILTER (WHERE account = -3), 0) AS insurance,
    coalesce(sum(amount) FILTER (WHERE account = -4), 0) AS clearing
  FROM ledger WHERE account < 0
), users AS (SELECT coalesce(sum(wallet), 0) AS wallets FROM accounts),
open AS (SELECT coalesce(sum(cost), 0) AS costs FROM positions)
SELECT
  users.wallets, house.fees, house.insurance, house.clearing, open.costs, -house.external AS paid_in,
  users.wallets + house.fees + house.insurance - open.costs + house.external AS difference,
  house.clearing + open.costs AS clearing_difference
FROM house, users, open;
