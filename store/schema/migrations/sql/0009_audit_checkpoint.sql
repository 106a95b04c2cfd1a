-- What the ledger sums to up to an entry, so that the audit that runs by itself never reads all of it again. Every entry
-- up to `entry_id` has been committed or never will be: it was numbered before a snapshot of which no transaction runs any
-- more (`next_entry_id`, `next_xmax`). One row; micros; `users` is the sum over all wallets.
CREATE TABLE audit_checkpoint (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  entry_id int8 NOT NULL DEFAULT 0,
  external numeric NOT NULL DEFAULT 0,
  fees numeric NOT NULL DEFAULT 0,
  insurance numeric NOT NULL DEFAULT 0,
  clearing numeric NOT NULL DEFAULT 0,
  users numeric NOT NULL DEFAULT 0,
  next_entry_id int8,
  next_xmax xid8
);
INSERT INTO audit_checkpoint DEFAULT VALUES;


COMMENT ON COLUMN accounts.liquidation_id IS 'The open liquidation: the account may only reduce, and withdraws nothing.'
  ' Negated while its positions are closed without the book: then it places no order at all, so that no drip of fills makes'
  ' every take-over stale.';
