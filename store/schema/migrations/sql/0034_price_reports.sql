-- Until when each price source is fresh, as far as its feed has reported: the clock ticks a market each second only while one of its
-- sources is silent. Written in the transaction that appends the report; the engine decides by its log alone.
CREATE TABLE price_reports (
  market_id int4 NOT NULL REFERENCES markets,
  source text COLLATE "C" NOT NULL,
  observed_at timestamptz NOT NULL,
  PRIMARY KEY (market_id, source)
) WITH (fillfactor = 50);
