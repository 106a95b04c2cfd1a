"""Money: the ledger, deposits, withdrawals, idempotency."""
