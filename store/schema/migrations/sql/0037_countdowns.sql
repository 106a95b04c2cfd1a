-- The timers of the dead-man's switch, as the log has them: one for each account and market that has one running. The projection
-- writes them; the clock reads which are due, so that a market that rests gets a tick in time.
CREATE TABLE IF NOT EXISTS countdowns (
  market_id int4 NOT NULL REFERENCES markets,
  user_id int8 NOT NULL,
  deadline timestamptz NOT NULL,
  scope text NOT NULL,
  PRIMARY KEY (market_id, user_id)
);
CREATE INDEX IF NOT EXISTS countdowns_due ON countdowns (deadline);
COMMENT ON TABLE countdowns IS 'Running dead-man''s switches: at the deadline the account''s orders in the market end.';
