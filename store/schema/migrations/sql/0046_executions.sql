-- The position of the account after each side of a fill, which the records of `executions.{market}` carry. Fills of releases
-- before this one have none: readers add the quantities up.
ALTER TABLE fills ADD COLUMN IF NOT EXISTS position_after int8;
