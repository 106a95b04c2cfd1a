-- The deleveragings of which a user was a counterparty: few, and sorted after they are found.
CREATE INDEX CONCURRENTLY liquidation_steps_counterparty ON liquidation_steps USING gin (adl_counterparties(inputs))
  WHERE action = 'ADL';
