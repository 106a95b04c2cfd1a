-- One row a fill that closed a position by force: few of many fills, replayed by sequence to the live feed.
CREATE INDEX CONCURRENTLY fills_forced ON fills (market_id, trade_id) WHERE role = 'TAKER' AND cause <> 'TRADE';
