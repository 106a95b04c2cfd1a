-- The step of a liquidation's order, which shows the fee of it.
CREATE INDEX CONCURRENTLY liquidation_steps_command ON liquidation_steps (market_id, command_seq) WHERE action = 'LIQUIDATION';
