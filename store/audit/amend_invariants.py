"""Invariants of amends, in the form of store.audit.invariants."""

AMENDS = {
    "an order counts with the larger terms while it is amended, then with exactly those of the verdict": """
        SELECT 'order ' || o.order_id || ' ' || s.name, s.expected, s.got
        FROM orders o
        JOIN LATERAL (SELECT * FROM amends x WHERE x.order_id = o.order_id ORDER BY x.command_seq DESC LIMIT 1) a ON true
        CROSS JOIN LATERAL (SELECT a.verdict = 'PENDING' AND
          CASE WHEN a.was_waiting THEN o.is_waiting AND o.triggered_at IS NULL ELSE o.is_live END AS is_under_way) u
        CROSS JOIN LATERAL (SELECT
          u.is_under_way OR a.verdict <> 'DONE' AS has_old, u.is_under_way OR a.verdict = 'DONE' AS has_new) t
        CROSS JOIN LATERAL (VALUES
          ('amend under way', CASE WHEN u.is_under_way THEN a.command_seq END, o.amend_seq),
          ('lots added', CASE WHEN u.is_under_way THEN greatest(0, a.added) ELSE 0 END, o.amend_lots),
          ('margin price', greatest(CASE WHEN t.has_old THEN a.old_margin_price END,
            CASE WHEN t.has_new THEN a.new_margin_price END), o.margin_price),
          ('loss per lot', greatest(CASE WHEN t.has_old THEN a.old_loss_per_lot END,
            CASE WHEN t.has_new THEN a.new_loss_per_lot END), o.loss_per_lot),
          ('fee per lot', greatest(CASE WHEN t.has_old THEN a.old_fee_per_lot END,
            CASE WHEN t.has_new THEN a.new_fee_per_lot END), o.fee_per_lot),
          ('excess per lot', greatest(CASE WHEN t.has_old THEN a.old_excess_per_lot END,
            CASE WHEN t.has_new THEN a.new_excess_per_lot END), o.excess_per_lot)) s(name, expected, got)
        WHERE s.expected IS DISTINCT FROM s.got
          -- from its trigger on, an order that waited has the terms of then
          AND (NOT a.was_waiting OR o.is_waiting OR s.name IN ('amend under way', 'lots added'))
    """,
    "an order knows its amends": """
        SELECT 'order ' || order_id, count(a.command_seq), coalesce(max(o.amend_count), 0)
        FROM (SELECT order_id, amend_count FROM orders WHERE amend_count <> 0) o FULL JOIN amends a USING (order_id)
        GROUP BY order_id HAVING count(a.command_seq) <> coalesce(max(o.amend_count), 0)
    """,
    "an amend has its verdict once its command is persisted": """
        SELECT 'amend ' || a.command_seq || ' of order ' || a.order_id || ' ' || a.verdict, p.command_seq, a.command_seq
        FROM amends a JOIN orders o USING (order_id) JOIN progress p USING (market_id)
        WHERE CASE a.verdict WHEN 'PENDING' THEN a.command_seq <= p.command_seq
          ELSE a.command_seq > p.command_seq + 1 END  -- the events of the next one may be persisted in part
    """,
    "every accepted amend has its row": """
        WITH taken AS (
          SELECT market_id, command_seq FROM outbox
          WHERE substring(payload FROM 1 FOR 31) = '{"type":"order.amend_requested"'::bytea
        ), stored AS (
          SELECT o.market_id, a.command_seq FROM amends a JOIN orders o USING (order_id) JOIN relay_cursors r USING (market_id)
          WHERE a.command_seq > r.pruned_seq
        )
        SELECT 'amend ' || coalesce(t.command_seq, s.command_seq), t.command_seq, s.command_seq
        FROM taken t FULL JOIN stored s USING (market_id, command_seq) WHERE t.command_seq IS NULL OR s.command_seq IS NULL
    """,
}
