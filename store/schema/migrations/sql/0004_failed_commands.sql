-- Commands that broke the engine and were undone. A market that is matched again, by whatever code, after the loss of
-- its event log too, must answer them as it did the first time. `order_id` was created or to be cancelled by it.
CREATE TABLE failed_commands (
  market_id int4 NOT NULL REFERENCES markets,
  command_seq int8 NOT NULL,
  event_seq int8 NOT NULL,
  user_id int8 NOT NULL,
  order_id int8 NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (market_id, command_seq)
);
