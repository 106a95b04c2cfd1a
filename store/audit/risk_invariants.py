"""Invariants of funding, liquidations, settlements and the insurance fund, in the form of store.audit.invariants."""

RISK = {
    "a funding sums to zero with its residue": """
        SELECT m.name || ' ' || f.interval_end, -f.residue, coalesce(p.paid, 0)
        FROM fundings f JOIN markets m USING (market_id)
        LEFT JOIN (SELECT market_id, interval_end, sum(amount) AS paid FROM funding_payments
          GROUP BY market_id, interval_end) p USING (market_id, interval_end)
        WHERE coalesce(p.paid, 0) <> -f.residue
    """,
    "a funding payment belongs to a funding": """
        SELECT m.name || ' ' || p.interval_end || ' user ' || p.user_id, f.rate, p.rate
        FROM funding_payments p JOIN markets m USING (market_id) LEFT JOIN fundings f USING (market_id, interval_end)
        WHERE (p.rate, p.mark) IS DISTINCT FROM (f.rate, f.mark)
    """,
    "a settlement closes what was held": """
        SELECT v.name || ' user ' || s.user_id, s.lots, coalesce(sum(f.quantity * CASE f.side WHEN 'BUY' THEN 1 ELSE -1 END), 0)
        FROM settlements s JOIN market_lot_values v USING (market_id) LEFT JOIN fills f USING (market_id, user_id)
        GROUP BY v.name, s.user_id, s.lots
        HAVING s.lots <> coalesce(sum(f.quantity * CASE f.side WHEN 'BUY' THEN 1 ELSE -1 END), 0)
    """,
    "a forced transfer has its receipt": """
        WITH reported AS (
          SELECT s.market_id, (t->>'trade')::int8 AS trade_id, s.user_id, s.action AS cause,
            (t->>'quantity')::int8 AS quantity, abs((t->>'amount')::int8) AS amount
          FROM liquidation_steps s, jsonb_array_elements(s.outcome->'transfers') t
        ), done AS (
          SELECT market_id, trade_id, user_id, cause, quantity, abs(notional) AS amount FROM fills
          WHERE role = 'TAKER' AND cause IN ('TAKE_OVER', 'ADL')
        )
        SELECT 'market ' || market_id || ' trade ' || trade_id, d.amount, t.amount
        FROM done d FULL JOIN reported t USING (market_id, trade_id)
        WHERE (d.user_id, d.cause, d.quantity, d.amount) IS DISTINCT FROM (t.user_id, t.cause, t.quantity, t.amount)
    """,
    "a receipt adds up": """
        SELECT 'liquidation ' || s.liquidation_id || ' step ' || s.step, r.expected, r.got
        FROM liquidation_steps s
        LEFT JOIN orders o ON o.order_id = order_key(s.market_id, s.command_seq)
        CROSS JOIN LATERAL (
          SELECT coalesce(sum((t->>'quantity')::int8), 0) AS lots
          FROM jsonb_array_elements(coalesce(s.outcome->'transfers', '[]')) t) x
        CROSS JOIN LATERAL (VALUES
          (CASE WHEN s.action IN ('LIQUIDATION', 'FUND_SALE') THEN o.filled_lots ELSE x.lots END,
           (s.outcome->>'quantity')::numeric),
          (CASE WHEN s.action IN ('LIQUIDATION', 'FUND_SALE') THEN o.filled_notional END,
           (s.outcome->>'notional')::numeric)) r(expected, got)
        WHERE s.done_at IS NOT NULL AND s.action IN ('LIQUIDATION', 'FUND_SALE', 'TAKE_OVER', 'ADL')
          AND r.expected IS DISTINCT FROM r.got
    """,
    "an account is flagged by its open liquidation": """
        SELECT 'user ' || coalesce(a.user_id, l.user_id), l.liquidation_id, a.liquidation_id
        FROM (
          SELECT a.user_id, abs(a.liquidation_id) AS liquidation_id FROM accounts a
          LEFT JOIN liquidations x ON a.is_closing AND x.liquidation_id = abs(a.liquidation_id)
          WHERE x.user_id IS NULL OR x.user_id = a.user_id -- the others are counterparties of a deleveraging under way
        ) a FULL JOIN (SELECT * FROM liquidations WHERE kind = 'LIQUIDATION' AND ended_at IS NULL) l
          USING (user_id) WHERE a.liquidation_id IS DISTINCT FROM l.liquidation_id
    """,
    "open interest is the sum of the long positions": """
        SELECT m.name, coalesce(h.lots, 0), p.open_interest FROM progress p JOIN markets m USING (market_id)
        LEFT JOIN (SELECT market_id, sum(lots) AS lots FROM positions WHERE lots > 0 GROUP BY market_id) h USING (market_id)
        WHERE p.open_interest_seq = p.event_seq AND p.open_interest <> coalesce(h.lots, 0)
    """,
    # a wallet that has just gone below zero is paid at the liquidator's next scan
    "no wallet stays below zero without a position": """
        SELECT 'user ' || a.user_id, 0, a.wallet FROM accounts a
        WHERE a.wallet < 0 AND a.liquidation_id IS NULL
          AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.user_id = a.user_id AND (p.lots <> 0 OR p.live_orders <> 0))
          AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.account = a.user_id AND l.account > 0
            AND l.at > now() - interval '30 s')
    """,
    # the market's clock is at the time of its last event at least; some seconds for events that are persisted in part
    "a countdown that has ended has fired": """
        SELECT 'countdown of user ' || c.user_id || ' in ' || m.name,
          (extract(epoch FROM p.at) * 1000)::int8, (extract(epoch FROM c.deadline) * 1000)::int8
        FROM countdowns c JOIN markets m USING (market_id) JOIN progress p USING (market_id)
        WHERE c.deadline < p.at - interval '10 s'
    """,
}
"""Each invariant, by the sentence that states it."""
