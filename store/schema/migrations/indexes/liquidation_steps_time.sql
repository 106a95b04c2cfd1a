-- The receipts of all accounts, newest first, for operators.
CREATE INDEX CONCURRENTLY liquidation_steps_time ON liquidation_steps (at, liquidation_id, step);
