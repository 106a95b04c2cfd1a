-- Few accounts are being liquidated, or are held for a deleveraging (a negative number); they are looked for at every look.
CREATE INDEX accounts_bound ON accounts (liquidation_id) WHERE liquidation_id IS NOT NULL;
COMMENT ON COLUMN accounts.liquidation_id IS
  'The open liquidation: the account may only reduce, and withdraws nothing. Negative: it places no order either, because '
  'its positions are closed without the book; the number of another account''s: it is deleveraged for that one.';
