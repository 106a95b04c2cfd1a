-- The open positions of a market. `opened_seq` is 0 exactly where `lots` is (the audit checks it), and changes only when a position
-- opens, flips or closes: so a fill that leaves a position open is a HOT update, which no index on `lots` would allow.
CREATE INDEX CONCURRENTLY positions_held ON positions (market_id, user_id) WHERE opened_seq <> 0;
