"""Queries on one account: balances, positions, orders, fills, receipts."""
