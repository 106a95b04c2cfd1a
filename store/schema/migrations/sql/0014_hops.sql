-- When an order took each hop of its way, for its trace: one row for each record that held an order, not for each order.
-- A row speaks for the commands behind `after_seq` up to `command_seq`.

-- A record of the command log, and when the relay gave it to the broker; again where the engine asked for commands again.
CREATE TABLE relayed_records (
  market_id int4 NOT NULL REFERENCES markets,
  command_seq int8 NOT NULL,
  after_seq int8 NOT NULL,
  sent_at timestamptz NOT NULL,
  PRIMARY KEY (market_id, command_seq, after_seq)
);

-- A record of the event log: when the engine gave it to the broker (the record's own time; null where it is not known) and
-- when the projection wrote its rows.
CREATE TABLE persisted_records (
  market_id int4 NOT NULL REFERENCES markets,
  command_seq int8 NOT NULL,
  after_seq int8 NOT NULL,
  matched_at timestamptz,
  persisted_at timestamptz NOT NULL,
  PRIMARY KEY (market_id, command_seq)
);

-- The event that ended an order; null of one that is live, or ended before this was kept.
ALTER TABLE orders ADD COLUMN ended_event_seq int8;
