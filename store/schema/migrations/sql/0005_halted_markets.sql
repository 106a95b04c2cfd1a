-- Why a market was halted by the exchange itself: its log and this database do not belong together. Such a market's
-- status stays HALTED whatever its events say, until a rebuild has given it a new log.
ALTER TABLE markets ADD COLUMN halted_reason text;
