-- The shard in which a market is placed: the markets of a shard share their engine, projection, publisher and relay. The release
-- before does not know it and has one of each per market; both may work at the same time.
ALTER TABLE markets ADD COLUMN IF NOT EXISTS shard text NOT NULL DEFAULT 'main'
  CONSTRAINT markets_shard CHECK (shard ~ '^[a-z0-9-]{1,32}$');
