-- What the projection locks and reads for the events of several markets. The previous release calls lock_projection (0002), which
-- locks in the same order.
--
-- Lock order: progress by market, accounts by user. Each writer of a position or an order holds the lock of its account, so these
-- rows need no lock of their own. A locked row is returned as the last holder left it; every statement of a VOLATILE function takes
-- its own snapshot under READ COMMITTED, so the orders are read as the last holder left them too. Three kinds of rows come back: one
-- of progress (event_seq), one an account (user_id), one an order (order_id).
CREATE OR REPLACE FUNCTION lock_events(in_markets int4[], in_users int8[], in_orders int8[])
RETURNS TABLE (
  market_id int4, event_seq int8, command_seq int8, event_hash text,
  user_id int8, wallet int8,
  order_id int8, order_user int8, status text, side text, remaining int8, margin_price int8, loss_per_lot int8,
  fee_per_lot int8, filled_lots int8, filled_notional int8, reason text, best_opposite int8
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT p.market_id, p.event_seq, p.command_seq, p.event_hash, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
      NULL::text, NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text,
      NULL::int8
    FROM progress p WHERE p.market_id = ANY(in_markets) ORDER BY p.market_id FOR NO KEY UPDATE;
  IF in_users <> '{}' THEN
    RETURN QUERY SELECT NULL::int4, NULL::int8, NULL::int8, NULL::text, a.user_id, a.wallet, NULL::int8, NULL::int8, NULL::text,
        NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::text, NULL::int8
      FROM accounts a WHERE a.user_id = ANY(in_users) ORDER BY a.user_id FOR NO KEY UPDATE;
  END IF;
  IF in_orders <> '{}' THEN
    RETURN QUERY SELECT NULL::int4, NULL::int8, NULL::int8, NULL::text, NULL::int8, NULL::int8, o.order_id, o.user_id, o.status,
        o.side, o.remaining, o.margin_price, o.loss_per_lot, o.fee_per_lot, o.filled_lots, o.filled_notional, o.reason,
        o.best_opposite
      FROM orders o WHERE o.order_id = ANY(in_orders);
  END IF;
END $$;

-- Its check of every record read the market again and locked its row, which costs more than the record. Its writer has just locked the
-- market's progress, and no market is ever deleted.
ALTER TABLE persisted_records DROP CONSTRAINT IF EXISTS persisted_records_market_id_fkey;
