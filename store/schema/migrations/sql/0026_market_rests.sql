-- Why a kind of worker leaves a market alone for now: a topic of the market is missing or set up wrongly. The worker that waits
-- renews `seen_at`; a row that is not renewed belongs to a process that has ended.

CREATE TABLE market_rests (
  market_id int4 NOT NULL REFERENCES markets,
  work text NOT NULL,
  reason text NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (market_id, work)
);
