"""The invariants of the database, one query each (docs/semantics.md, "Ledger and conservation").

Each query returns the rows that violate it as (subject, expected, got): none when it holds. All are read-only; the caller
runs them in one snapshot.
"""

from store.audit.amend_invariants import AMENDS
from store.audit.market_data_invariants import MARKET_DATA
from store.audit.risk_invariants import RISK

_MONEY = {
    "conservation": """
        SELECT 'wallets + fees + fund - costs', paid_in, paid_in + difference FROM conservation WHERE difference <> 0
    """,
    "clearing is the opposite of the open costs": """
        SELECT 'clearing', -costs, clearing FROM conservation WHERE clearing_difference <> 0
    """,
    "a ledger transaction sums to zero": """
        SELECT coalesce('event ' || m.name || ':' || l.event_seq, 'transfer ' || l.transfer_id), 0, sum(l.amount)
        FROM ledger l LEFT JOIN markets m USING (market_id)
        GROUP BY m.name, l.event_seq, l.transfer_id HAVING sum(l.amount) <> 0
    """,
    "a wallet is the sum of its ledger entries": """
        SELECT 'user ' || coalesce(a.user_id, l.account), coalesce(l.total, 0), coalesce(a.wallet, 0)
        FROM accounts a FULL JOIN (
          SELECT account, sum(amount) AS total FROM ledger
          WHERE account NOT IN (SELECT account FROM house_accounts) GROUP BY account) l ON l.account = a.user_id
        WHERE coalesce(a.wallet, 0) <> coalesce(l.total, 0) OR a.user_id IS NULL
    """,
    "an entry carries the wallet after it": """
        SELECT 'entry ' || entry_id, expected, balance_after FROM (
          SELECT entry_id, balance_after,
            CASE WHEN account > 0 THEN sum(amount) OVER (PARTITION BY account ORDER BY entry_id) END AS expected
          FROM ledger) e
        WHERE balance_after IS DISTINCT FROM expected
    """,
    "a correction is the act of an operator": """
        SELECT 'transfer ' || transfer_id, a.amount, l.amount
        FROM (SELECT transfer_id, account, amount FROM ledger WHERE type = 'CORRECTION' AND account > 0) l
        FULL JOIN (SELECT transfer_id, user_id, amount FROM operator_acts WHERE transfer_id IS NOT NULL) a USING (transfer_id)
        WHERE (l.account, l.amount) IS DISTINCT FROM (a.user_id, a.amount)
    """,
    "what fills, fundings, settlements and liquidations owe is posted": """
        WITH due AS (
          SELECT market_id, event_seq, user_id AS account, 'TRADING_FEE' AS type, -fee AS amount FROM fills
          UNION ALL SELECT market_id, event_seq, user_id, 'REALIZED_PNL', realized FROM fills
          UNION ALL SELECT market_id, event_seq, -2, 'TRADING_FEE', fee FROM fills
          UNION ALL SELECT market_id, event_seq, -4, 'REALIZED_PNL', -realized FROM fills
          UNION ALL SELECT market_id, event_seq, user_id, 'REALIZED_PNL', realized FROM settlements
          UNION ALL SELECT market_id, event_seq, -4, 'REALIZED_PNL', -realized FROM settlements
          UNION ALL SELECT market_id, event_seq, user_id, 'FUNDING_PAYMENT', amount FROM funding_payments
          UNION ALL SELECT market_id, event_seq, -3, 'FUNDING_PAYMENT', -amount FROM funding_payments
          UNION ALL SELECT market_id, event_seq, user_id, 'LIQUIDATION_FEE', -(outcome->>'fee')::int8
            FROM liquidation_steps WHERE outcome ? 'fee'
          UNION ALL SELECT market_id, event_seq, -3, 'LIQUIDATION_FEE', (outcome->>'fee')::int8
            FROM liquidation_steps WHERE outcome ? 'fee'
        ), posted AS (SELECT market_id, event_seq, account, type, amount FROM ledger WHERE event_seq IS NOT NULL),
        both_sides AS (SELECT *, 0 AS got FROM due
          UNION ALL SELECT market_id, event_seq, account, type, 0, amount FROM posted)
        SELECT m.name || ':' || event_seq || ' account ' || account || ' ' || type, sum(amount), sum(got)
        FROM both_sides LEFT JOIN markets m USING (market_id)
        GROUP BY m.name, event_seq, account, type HAVING sum(amount) <> sum(got)
    """,
}

_TRADES = {
    "sizes of a market sum to zero": """
        SELECT m.name, 0, sum(p.lots) FROM positions p JOIN markets m USING (market_id)
        GROUP BY m.name HAVING sum(p.lots) <> 0
    """,
    "a trade has two sides that agree": """
        SELECT m.name || '-' || trade_id, 2, count(*) FROM fills f JOIN markets m USING (market_id)
        GROUP BY m.name, trade_id
        HAVING count(*) <> 2 OR count(DISTINCT role) <> 2 OR count(DISTINCT side) <> 2
          OR count(DISTINCT (price, quantity, notional, event_seq, cause, at)) <> 1
    """,
    "trades are counted without holes": """
        SELECT m.name, max(trade_id), count(DISTINCT trade_id) FROM fills f JOIN markets m USING (market_id)
        GROUP BY m.name HAVING max(trade_id) <> count(DISTINCT trade_id) OR min(trade_id) <> 1
    """,
    "a notional is price times quantity": """
        SELECT v.name || '-' || f.trade_id || ' ' || f.role, f.price * f.quantity * v.lot_value, f.notional
        FROM fills f JOIN market_lot_values v USING (market_id)
        WHERE f.notional <> f.price * f.quantity * v.lot_value AND f.cause NOT IN ('TAKE_OVER', 'ADL')
    """,
    "a fill belongs to its order": """
        SELECT 'fill ' || f.market_id || '-' || f.trade_id || ' ' || f.role, f.order_id, o.order_id
        FROM fills f LEFT JOIN orders o ON o.order_id = f.order_id AND o.user_id = f.user_id AND o.side = f.side
          AND o.market_id = f.market_id
        WHERE CASE WHEN f.cause IN ('TAKE_OVER', 'ADL') THEN f.order_id IS NOT NULL ELSE o.order_id IS NULL END
    """,
    "what an order filled is the sum of its fills": """
        SELECT 'order ' || o.order_id || ' ' || s.name, s.expected, s.got
        FROM orders o LEFT JOIN (SELECT order_id, sum(quantity) AS lots, sum(notional) AS notional FROM fills
          GROUP BY order_id) f USING (order_id)
        CROSS JOIN LATERAL (VALUES ('lots', coalesce(f.lots, 0), o.filled_lots),
          ('notional', coalesce(f.notional, 0), o.filled_notional)) s(name, expected, got)
        WHERE s.expected <> s.got
    """,
    "a position is the sum of its fills and its settlement": """
        WITH moves AS (
          SELECT *, sum(signed) OVER (PARTITION BY user_id, market_id ORDER BY event_seq) AS after
          FROM (
            SELECT user_id, market_id, event_seq, realized, CASE side WHEN 'BUY' THEN quantity ELSE -quantity END AS signed,
              CASE side WHEN 'BUY' THEN notional ELSE -notional END + realized AS cost, false AS is_settled FROM fills
            UNION ALL
            SELECT user_id, market_id, event_seq, realized, -lots, realized - lots * price * lot_value, true
            FROM settlements JOIN market_lot_values USING (market_id)) f
        ), begun AS (
          SELECT user_id, market_id, max(event_seq) AS event_seq FROM moves
          WHERE after <> 0 AND sign(after) <> sign(after - signed) GROUP BY user_id, market_id
        ), held AS (
          SELECT v.user_id, v.market_id, sum(v.signed) AS lots, sum(v.cost) AS cost,
            CASE WHEN bool_or(v.is_settled) THEN 0  -- a market that has ended keeps no positions
              ELSE coalesce(sum(v.realized) FILTER (WHERE v.event_seq > b.event_seq), 0) END AS realized,
            CASE WHEN sum(v.signed) <> 0 THEN max(b.event_seq) ELSE 0 END AS opened
          FROM moves v JOIN begun b USING (user_id, market_id) GROUP BY v.user_id, v.market_id
        )
        SELECT 'user ' || user_id || ' market ' || market_id || ' ' || s.name, s.expected, s.got
        FROM positions p FULL JOIN held h USING (user_id, market_id)
        CROSS JOIN LATERAL (VALUES ('lots', coalesce(h.lots, 0), coalesce(p.lots, 0)),
          ('cost', coalesce(h.cost, 0), coalesce(p.cost, 0)),
          ('realized', coalesce(h.realized, 0), coalesce(p.realized, 0)),
          ('opened', coalesce(h.opened, 0), coalesce(p.opened_seq, 0))) s(name, expected, got)
        WHERE s.expected <> s.got
    """,
}

_ORDERS = {
    "margin sums are the sums over live orders": """
        WITH live AS (
          SELECT user_id, market_id, count(*) AS live_orders,
            sum(CASE side WHEN 'BUY' THEN counted ELSE 0 END) AS buy_lots,
            sum(CASE side WHEN 'SELL' THEN counted ELSE 0 END) AS sell_lots,
            sum(CASE side WHEN 'BUY' THEN counted * margin_price * lot_value ELSE 0 END) AS buy_notional,
            sum(CASE side WHEN 'SELL' THEN counted * margin_price * lot_value ELSE 0 END) AS sell_notional,
            sum(counted * loss_per_lot) AS open_loss, sum(counted * fee_per_lot) AS open_fees,
            sum(CASE side WHEN 'BUY' THEN reducing ELSE 0 END) AS reduce_buy_lots,
            sum(CASE side WHEN 'SELL' THEN reducing ELSE 0 END) AS reduce_sell_lots,
            sum(CASE side WHEN 'BUY' THEN reducing * margin_price * lot_value ELSE 0 END) AS reduce_buy_notional,
            sum(CASE side WHEN 'SELL' THEN reducing * margin_price * lot_value ELSE 0 END) AS reduce_sell_notional,
            sum(CASE side WHEN 'BUY' THEN reducing * (loss_per_lot + fee_per_lot) ELSE 0 END) AS reduce_buy_cost,
            sum(CASE side WHEN 'SELL' THEN reducing * (loss_per_lot + fee_per_lot) ELSE 0 END) AS reduce_sell_cost,
            sum(reducing * loss_per_lot) AS reduce_loss, sum(reducing * excess_per_lot) AS reduce_excess
          FROM (SELECT *, remaining + amend_lots AS counted, CASE WHEN reduce_only THEN remaining + amend_lots ELSE 0 END AS reducing
            FROM orders WHERE is_live) orders
          JOIN market_lot_values USING (market_id) GROUP BY user_id, market_id
        )
        SELECT 'user ' || user_id || ' market ' || market_id || ' ' || s.name, s.expected, s.got
        FROM positions p FULL JOIN live l USING (user_id, market_id)
        CROSS JOIN LATERAL (VALUES
          ('live_orders', coalesce(l.live_orders, 0), coalesce(p.live_orders, 0)),
          ('buy_lots', coalesce(l.buy_lots, 0), coalesce(p.buy_lots, 0)),
          ('sell_lots', coalesce(l.sell_lots, 0), coalesce(p.sell_lots, 0)),
          ('buy_notional', coalesce(l.buy_notional, 0), coalesce(p.buy_notional, 0)),
          ('sell_notional', coalesce(l.sell_notional, 0), coalesce(p.sell_notional, 0)),
          ('open_loss', coalesce(l.open_loss, 0), coalesce(p.open_loss, 0)),
          ('open_fees', coalesce(l.open_fees, 0), coalesce(p.open_fees, 0)),
          ('reduce_buy_lots', coalesce(l.reduce_buy_lots, 0), coalesce(p.reduce_buy_lots, 0)),
          ('reduce_sell_lots', coalesce(l.reduce_sell_lots, 0), coalesce(p.reduce_sell_lots, 0)),
          ('reduce_buy_notional', coalesce(l.reduce_buy_notional, 0), coalesce(p.reduce_buy_notional, 0)),
          ('reduce_sell_notional', coalesce(l.reduce_sell_notional, 0), coalesce(p.reduce_sell_notional, 0)),
          ('reduce_buy_cost', coalesce(l.reduce_buy_cost, 0), coalesce(p.reduce_buy_cost, 0)),
          ('reduce_sell_cost', coalesce(l.reduce_sell_cost, 0), coalesce(p.reduce_sell_cost, 0)),
          ('reduce_loss', coalesce(l.reduce_loss, 0), coalesce(p.reduce_loss, 0)),
          ('reduce_excess', coalesce(l.reduce_excess, 0), coalesce(p.reduce_excess, 0))) s(name, expected, got)
        WHERE s.expected <> s.got
    """,
    "a reduce-only order records its excess": """
        SELECT 'order ' || o.order_id, e.excess, o.excess_per_lot
        FROM orders o JOIN markets m USING (market_id) JOIN market_lot_values v USING (market_id)
        CROSS JOIN LATERAL (SELECT CASE WHEN o.reduce_only THEN reduce_only_excess(o.side,
          o.margin_price * v.lot_value::int8, o.loss_per_lot, o.fee_per_lot, (m.spec->>'initialMarginRate')::int8)
          ELSE 0 END AS excess) e
        WHERE o.is_live AND o.amend_seq IS NULL AND o.excess_per_lot <> e.excess
    """,
    "waiting sums are the sums over waiting orders": """
        WITH waiting AS (
          SELECT user_id, market_id, count(*) AS waiting_orders,
            coalesce(sum(remaining + amend_lots) FILTER (WHERE side = 'BUY' AND reduce_only AND NOT closes_position), 0) AS waiting_buy_lots,
            coalesce(sum(remaining + amend_lots) FILTER (WHERE side = 'SELL' AND reduce_only AND NOT closes_position), 0) AS waiting_sell_lots,
            count(*) FILTER (WHERE side = 'BUY' AND closes_position) AS closing_buys,
            count(*) FILTER (WHERE side = 'SELL' AND closes_position) AS closing_sells
          FROM orders WHERE is_waiting GROUP BY user_id, market_id
        )
        SELECT 'user ' || user_id || ' market ' || market_id || ' ' || s.name, s.expected, s.got
        FROM positions p FULL JOIN waiting w USING (user_id, market_id)
        CROSS JOIN LATERAL (VALUES
          ('waiting_orders', coalesce(w.waiting_orders, 0), coalesce(p.waiting_orders, 0)),
          ('waiting_buy_lots', coalesce(w.waiting_buy_lots, 0), coalesce(p.waiting_buy_lots, 0)),
          ('waiting_sell_lots', coalesce(w.waiting_sell_lots, 0), coalesce(p.waiting_sell_lots, 0)),
          ('closing_buys', coalesce(w.closing_buys, 0), coalesce(p.closing_buys, 0)),
          ('closing_sells', coalesce(w.closing_sells, 0), coalesce(p.closing_sells, 0))) s(name, expected, got)
        WHERE s.expected <> s.got
    """,
    "an order's lots and status agree": """
        SELECT 'order ' || order_id || ' ' || status, quantity, remaining + filled_lots FROM orders
        WHERE (is_live OR is_waiting) <> (status IN ('PENDING', 'UNTRIGGERED', 'TRIGGERED', 'OPEN', 'PARTIALLY_FILLED'))
          OR (status = 'FILLED' AND remaining <> 0) OR (remaining = 0 AND status <> 'FILLED' AND NOT closes_position)
          OR (reason IS NULL) <> (status IN ('PENDING', 'UNTRIGGERED', 'TRIGGERED', 'OPEN', 'PARTIALLY_FILLED', 'FILLED'))
          OR (status IN ('PENDING', 'UNTRIGGERED', 'OPEN', 'REJECTED') AND filled_lots <> 0)
          OR (status = 'PARTIALLY_FILLED' AND filled_lots = 0)
          OR remaining + filled_lots > quantity OR (remaining + filled_lots < quantity AND NOT reduce_only)
    """,
    "a conditional order waits, then is live, then has ended": """
        SELECT 'order ' || order_id || ' ' || status, is_waiting::int, is_live::int FROM orders
        WHERE (is_live AND is_waiting)
          OR (is_waiting AND (working_type IS NULL OR status NOT IN ('PENDING', 'UNTRIGGERED', 'TRIGGERED')))
          OR (is_live AND status = 'UNTRIGGERED')
          OR (is_live AND status IN ('PENDING', 'TRIGGERED')
            AND (status = 'TRIGGERED') <> (activated_command_seq IS NOT NULL AND working_type IS NOT NULL))
          OR (status = 'TRIGGERED' AND triggered_at IS NULL)
          OR (triggered_at IS NOT NULL AND status IN ('PENDING', 'UNTRIGGERED'))
          OR (activated_command_seq IS NOT NULL AND (triggered_at IS NULL OR reduce_only OR is_waiting))
          OR num_nonnulls(triggered_at, triggered_working_price, triggered_event_seq, triggered_command_seq) NOT IN (0, 4)
          OR (closes_position AND NOT reduce_only)
          OR (working_type IS NOT NULL AND num_nonnulls(trigger_price, callback_rate) <> 1)
    """,
    "attached orders and their parent name each other": """
        SELECT 'order ' || l.order_id, p.order_id, l.parent_order_id
        FROM orders l LEFT JOIN orders p ON p.order_id = l.parent_order_id AND p.user_id = l.user_id
          AND p.market_id = l.market_id AND l.order_id IN (p.take_profit_order_id, p.stop_loss_order_id)
          AND l.closes_position AND l.side <> p.side
        WHERE l.parent_order_id IS NOT NULL AND p.order_id IS NULL
        UNION ALL
        SELECT 'order ' || p.order_id, a.order_id, l.parent_order_id
        FROM orders p CROSS JOIN LATERAL (VALUES (p.take_profit_order_id), (p.stop_loss_order_id)) a(order_id)
        LEFT JOIN orders l ON l.order_id = a.order_id
        WHERE a.order_id IS NOT NULL AND l.parent_order_id IS DISTINCT FROM p.order_id
    """,
    "an order is pending until its command is persisted": """
        SELECT 'order ' || o.order_id || ' ' || o.status, p.command_seq, o.command_seq
        FROM (SELECT *, seq_of_order_key(order_id) AS command_seq FROM orders) o
        JOIN progress p USING (market_id)
        WHERE CASE o.status WHEN 'PENDING' THEN o.command_seq <= p.command_seq
          ELSE o.command_seq > p.command_seq + 1 END  -- the events of the next one may be persisted in part
    """,
    "nothing is ahead of what caused it": """
        SELECT m.name || ' ' || s.name, s.most, s.got FROM markets m JOIN counters c USING (market_id)
        JOIN progress p USING (market_id) JOIN relay_cursors r USING (market_id)
        CROSS JOIN LATERAL (VALUES ('persisted command', c.command_seq, p.command_seq),
          ('relayed command', c.command_seq, r.command_seq), ('pruned command', r.command_seq, r.pruned_seq),
          ('order', c.command_seq, (SELECT seq_of_order_key(max(order_id)) FROM orders o WHERE o.market_id = m.market_id)),
          ('fill', p.event_seq, (SELECT max(event_seq) FROM fills f WHERE f.market_id = m.market_id)),
          ('ledger entry', p.event_seq, (SELECT max(event_seq) FROM ledger l WHERE l.market_id = m.market_id)))
          s(name, most, got)
        WHERE s.got > s.most
    """,
    "the outbox has no hole": """
        SELECT m.name, c.command_seq - r.pruned_seq, count(o.command_seq)
        FROM markets m JOIN counters c USING (market_id) JOIN relay_cursors r USING (market_id)
        LEFT JOIN outbox o ON o.market_id = m.market_id AND o.command_seq > r.pruned_seq AND o.command_seq <= c.command_seq
        GROUP BY m.name, c.command_seq, r.pruned_seq HAVING count(o.command_seq) <> c.command_seq - r.pruned_seq
    """,
}

_PROMISES = {
    "every accepted order has its row": """
        WITH taken AS (
          SELECT market_id, order_key(market_id, command_seq) AS order_id FROM outbox
          WHERE substring(payload FROM 1 FOR 23) = '{"type":"order.created"'::bytea
            OR substring(payload FROM 1 FOR 29) IN ('{"type":"liquidation.ordered"'::bytea, '{"type":"conditional.created"'::bytea)
        ), stored AS (
          SELECT o.market_id, o.order_id FROM orders o JOIN relay_cursors r USING (market_id)
          WHERE o.order_id > order_key(o.market_id, r.pruned_seq)
        )
        SELECT 'order ' || coalesce(t.order_id, s.order_id), t.order_id, s.order_id
        FROM taken t FULL JOIN stored s USING (order_id) WHERE t.order_id IS NULL OR s.order_id IS NULL
    """,
}

INVARIANTS = _MONEY | _TRADES | _ORDERS | _PROMISES | AMENDS | RISK | MARKET_DATA
"""Every invariant, by the sentence that states it."""
