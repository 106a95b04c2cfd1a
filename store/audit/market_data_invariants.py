"""Invariants of the data kept only for readers, in the form of store.audit.invariants."""

MARKET_DATA = {
    "candles are what their trades come to": """
        WITH made AS (
          SELECT f.market_id, s.span_s, date_bin(s.span, f.at, '1970-01-01Z') AS start,
            (array_agg(f.price ORDER BY f.trade_id))[1] AS open, max(f.price) AS high, min(f.price) AS low,
            (array_agg(f.price ORDER BY f.trade_id DESC))[1] AS close, sum(f.quantity) AS quantity,
            sum(f.notional) AS notional, count(*) AS trades, min(f.trade_id) AS opened_by, max(f.trade_id) AS closed_by
          FROM candle_cursors c JOIN fills f ON f.market_id = c.market_id AND f.trade_id <= c.trade_id
          CROSS JOIN (VALUES (60, interval '1 minute'), (3600, interval '1 hour')) s (span_s, span)
          WHERE f.role = 'TAKER' AND f.order_id IS NOT NULL GROUP BY 1, 2, 3
        )
        SELECT 'market ' || market_id || ' ' || span_s || ' s ' || start || ' ' || s.name, s.expected, s.got
        FROM made m FULL JOIN candles c USING (market_id, span_s, start)
        CROSS JOIN LATERAL (VALUES ('open', m.open, c.open), ('high', m.high, c.high), ('low', m.low, c.low),
          ('close', m.close, c.close), ('quantity', m.quantity, c.quantity), ('notional', m.notional, c.notional),
          ('trades', m.trades, c.trades), ('first', m.opened_by, c.opened_by), ('last', m.closed_by, c.closed_by))
          s (name, expected, got)
        WHERE s.expected IS DISTINCT FROM s.got
        UNION ALL
        SELECT 'market ' || c.market_id || ' cursor', coalesce(t.last, 0), c.trade_id FROM candle_cursors c
        LEFT JOIN (SELECT market_id, max(trade_id) AS last FROM fills GROUP BY market_id) t USING (market_id)
        WHERE c.trade_id > coalesce(t.last, 0)
    """,
}
