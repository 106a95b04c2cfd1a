-- The rules version that a market's log has come to (docs/adr/0005).
ALTER TABLE markets ADD COLUMN rules integer NOT NULL DEFAULT 1;
